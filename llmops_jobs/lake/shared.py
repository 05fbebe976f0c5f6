"""What several aggregates of the same days start from, computed once for all of them.

A definition asks for such a start with `shared`. An engine that can keep it computes it once and
hands it to every definition as a table; for any other engine, and for days too large to be kept,
it is a part of each definition like any other expression. The result is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake.engine import Definition
    from llmops_jobs.lake.lake import Lake

#: Observations of the days whose starts are kept: some 130 bytes for each of their traces.
MOST_ROWS: Final = 2_000_000
_MOST_BYTES: Final = 256 * 2**20


def shared(
    t: Mapping[str, ir.Table], start: Definition, otherwise: Definition | None = None
) -> ir.Table:
    """`start` of the tables `t`; where it is not kept, `otherwise` (if that is cheaper: less of
    the same)."""
    kept = getattr(t, "kept", None)
    if kept is not None:
        table: ir.Table = kept(start)
        return table
    return (otherwise or start)(t)


class Kept:
    """Starts by what they were computed from: the newest, up to `_MOST_BYTES`."""

    def __init__(self) -> None:
        self._tables: dict[object, pa.Table] = {}
        self._lock = threading.Lock()

    def table(
        self, start: Definition, lake: Lake, days: Sequence[str], compute: Callable[[], pa.Table]
    ) -> pa.Table:
        """The start of days, given by the addresses of their files: files never change."""
        key = (start, lake.url, tuple(days))
        with self._lock:
            found = self._tables.pop(key, None)
        if found is None:
            found = compute()
        with self._lock:
            self._tables[key] = found
            while sum(each.nbytes for each in self._tables.values()) > _MOST_BYTES:
                self._tables.pop(next(iter(self._tables)))
        return found


def is_kept(lake: Lake, project: str, days: Sequence[date]) -> bool:
    return sum(lake.count("observations", project, day) for day in days) <= MOST_ROWS
