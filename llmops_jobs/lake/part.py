"""A part of a day's traces at a time: for row-by-row work on a day that memory does not hold.

Each part reads the day's files once more, which costs less than it seems: what is joined and
taken out is only the part's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake.engine import Definition, Engine
    from llmops_jobs.lake.lake import Lake


@dataclass(frozen=True)
class PartOfTraces:
    """An engine that sees, in every table, the rows of one of `of` parts of the traces.

    A trace is in one part, whole. Which one is the engine's to say, by its own hash: all parts
    together hold the same rows on every engine.
    """

    whole: Engine
    part: int
    of: int

    def run(
        self,
        definition: Definition,
        lake: Lake,
        project: str,
        days: Sequence[date],
        extra: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """As `Engine.run`. Every table, those of `extra` too, must have a `trace_id`."""
        which = pa.table({"part": [self.part], "of": [self.of]})
        extra = {**(extra or {}), "part_of_traces": which}
        return self.whole.run(_of_part(definition), lake, project, days, extra)


@cache  # an engine knows by the definition itself what it has compiled
def _of_part(definition: Definition) -> Definition:
    class Tables(dict[str, Any]):
        def __init__(self, whole: Mapping[str, ir.Table]) -> None:
            self.whole = whole
            self.which = whole["part_of_traces"]

        def __missing__(self, name: str) -> ir.Table:
            rows, which = self.whole[name], self.which
            part = (rows.trace_id.hash() % which.of.as_scalar()).abs()
            self[name] = rows.filter(part == which.part.as_scalar())
            return self[name]

    return lambda tables: definition(Tables(tables))
