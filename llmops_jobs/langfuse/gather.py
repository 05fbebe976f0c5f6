"""The rows of one day while they are read: in memory, or on disk when the day is large."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc

# A day of more rows than this is kept on disk while it is read, and finished in parts by trace.
SPILL_ROWS: Final = 60_000
_PARTS: Final = 64


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

    def apply(self, function: Callable[[pa.Table], pa.Table]) -> None:
        """Replaces each part by a function of it. A part holds all rows of each of its keys; the
        whole day is one part where it fits in memory."""
        if self._folder is None:
            whole = pa.concat_tables(self._tables) if self._tables else None
            self._tables = [] if whole is None else [function(whole)]
            return
        self._spill()
        for part, writer in sorted(self._writers.items()):
            writer.close()
            with pa.memory_map(str(self._file(part))) as mapped:
                done = function(ipc.open_stream(mapped).read_all())
            with ipc.new_stream(str(self._file(part, "done")), done.schema) as writing:
                writing.write_table(done)
            self._file(part).unlink()
            del done
            pa.default_memory_pool().release_unused()

    def parts(self) -> Iterator[pa.Table]:
        """The parts as `apply` left them."""
        if self._folder is None:
            yield from self._tables
            return
        for part in sorted(self._writers):
            with pa.memory_map(str(self._file(part, "done"))) as mapped:
                yield ipc.open_stream(mapped).read_all()

    def close(self) -> None:
        self._tables.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def _spill(self) -> None:
        if not self._tables:
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="llmops-day-")
        rows = pa.concat_tables(self._tables)
        self._tables, self._rows = [], 0
        part_of = _part_numbers(rows[self._key])
        order = np.argsort(part_of, kind="stable")
        rows = rows.take(pa.array(order))
        cuts = np.searchsorted(part_of[order], np.arange(_PARTS + 1))
        for part in range(_PARTS):
            if part not in self._writers:
                self._writers[part] = ipc.new_stream(str(self._file(part)), rows.schema)
            self._writers[part].write_table(rows.slice(cuts[part], cuts[part + 1] - cuts[part]))
        del rows
        pa.default_memory_pool().release_unused()

    def _file(self, part: int, state: str = "drafts") -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / f"{part}.{state}.arrow"


def _part_numbers(keys: pa.ChunkedArray) -> np.ndarray:
    """The same part for the same key in every process: by the key's bytes, not by `hash`."""
    parts = [zlib.crc32(key.encode("utf-8", "replace")) % _PARTS for key in keys.to_pylist()]
    return np.array(parts, dtype=np.int32)
