"""Days that were generated once, on disk: reading one back is several times faster."""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.packed import Packed


class Spill:
    """Rows of a day by kind, in a temporary folder that goes when the server goes.

    The format is Python's own `marshal`: written and read by one process, never kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix="standin-", dir=folder)

    def write(self, kind: str, day: date, rows: Sequence[Row]) -> None:
        path = self._path(kind, day)
        content = rows.columns if isinstance(rows, Packed) else list(rows)
        path.with_suffix(".part").write_bytes(marshal.dumps(content))
        path.with_suffix(".part").replace(path)

    def read(self, kind: str, day: date) -> Sequence[Row] | None:
        """None when the day was not written yet."""
        path = self._path(kind, day)
        if not path.exists():
            return None
        content = marshal.loads(path.read_bytes())
        return Packed(content) if isinstance(content, tuple) else content

    def _path(self, kind: str, day: date) -> Path:
        return Path(self._folder.name) / f"{kind}-{day}.rows"
