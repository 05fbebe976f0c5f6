"""The rows of one day while they are read: in memory, or on disk when the day is large."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

# A day of more rows than this is kept on disk while it is read, and finished in parts by trace.
SPILL_ROWS: Final = 200_000
_PARTS: Final = 32


class Gathered:
    """The drafts of one day, in memory up to SPILL_ROWS and on disk beyond, cut by trace."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._tables: list[pa.Table] = []
        self._rows = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writers: dict[int, Any] = {}

    def add(self, rows: pa.Table) -> None:
        self._tables.append(rows)
        self._rows += rows.num_rows
        if self._rows > SPILL_ROWS:
            self._spill()

    def parts(self) -> Iterator[pa.Table]:
        """The day in parts that no key is divided over; one part where it fits in memory."""
        if self._folder is None:
            if self._tables:
                yield pa.concat_tables(self._tables)
            return
        self._spill()
        for writer in self._writers.values():
            writer.close()
        import pyarrow.ipc as ipc

        for part in sorted(self._writers):
            with pa.memory_map(str(self._file(part))) as mapped:
                yield ipc.open_stream(mapped).read_all()

    def close(self) -> None:
        self._tables.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def _spill(self) -> None:
        import pyarrow.ipc as ipc

        if not self._tables:
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="llmops-day-")
        rows = pa.concat_tables(self._tables)
        self._tables, self._rows = [], 0
        part_of = pa.array(_part_numbers(rows[self._key]), pa.int32())
        for part in range(_PARTS):
            chosen = rows.filter(pc.equal(part_of, part))
            if part not in self._writers:
                self._writers[part] = ipc.new_stream(str(self._file(part)), rows.schema)
            self._writers[part].write_table(chosen)
        self._rows = SPILL_ROWS // 2  # so that the next spill comes after half as many rows

    def _file(self, part: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / f"{part}.arrow"


def _part_numbers(keys: pa.ChunkedArray) -> list[int]:
    """The same part for the same key in every process: by the key's bytes, not by `hash`."""
    return [zlib.crc32(key.encode("utf-8", "replace")) % _PARTS for key in keys.to_pylist()]
