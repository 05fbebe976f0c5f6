"""How rows reach the server: seconds late as a rule, days late and twice on two marked days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from llmops_jobs.demo.replay.measured import Ints
from llmops_jobs.demo.replay.observations import Role
from llmops_jobs.demo.replay.plan import DAY_MS, Plan
from llmops_jobs.demo.replay.wire import Rows, stamps
from llmops_jobs.demo.rows import Row

LATE_SHARE: Final = 33  # one trace in so many
TWICE_SHARE: Final = 33  # one call in so many


def written_ms(plan: Plan, at: Ints) -> Ints:
    """When the server wrote the rows at these places, in milliseconds into the plan's day."""
    table = plan.observations
    moment = table.end_ms[at] + plan.row_draws[at] % 45_000 + 2_000
    if plan.event("late-spans"):
        # An exporter that was down sends whole traces days later.
        request = table.request[at]
        late = plan.text_draws[request, 7] % LATE_SHARE == 0
        waited = DAY_MS * 2 + plan.text_draws[request, 6] % (2 * DAY_MS)
        moment = np.where(late, moment + waited, moment)
    return moment


def deliver(rows: Rows, at: Ints, texts: bool = True) -> Iterator[Row]:
    """The rows at these places as the server has them, with what was sent twice."""
    plan = rows.plan
    moment = written_ms(plan, at)
    yield from rows.write(at, moment, texts)
    if plan.event("duplicate-rows"):
        table = plan.observations
        twice = (table.role[at] == Role.CALL) & (table.failure[at] == 0)
        twice &= plan.row_draws[at] % TWICE_SHARE == 0
        again = at[twice]
        # The first version was flushed while the call was still streaming.
        early = stamps(plan.day, moment[twice] - 1_500)
        for row, written in zip(rows.write(again, moment[twice], texts), early, strict=True):
            yield _unfinished(row, written)


def _unfinished(row: Row, written: str) -> Row:
    """The version of a call that was sent before its output was complete: half the tokens."""
    half = {key: count // 2 for key, count in row["usageDetails"].items()}
    spent = {key: round(usd / 2, 12) for key, usd in row["costDetails"].items()}
    sums = {
        key: None if row[key] is None else round(row[key] / 2, 12)
        for key in ("inputCost", "outputCost", "totalCost")
    }
    counts = {key: row[key] // 2 for key in ("inputUsage", "outputUsage", "totalUsage")}
    return {
        **row,
        **sums,
        **counts,
        "usageDetails": half,
        "costDetails": spent,
        "createdAt": written,
        "updatedAt": written,
    }
