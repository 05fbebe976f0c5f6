"""What must hold between the lake and the marts of this stage; each returns one line a breach."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import sqlalchemy as sa

from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.deployment import Deployment
    from llmops_jobs.signals.cells import Tables


def calls_without_outcome(home: Deployment, days: Sequence[date]) -> list[str]:
    """Days on which a model call has no outcome, or an outcome no call."""
    wrong = []
    for project in home.projects():
        rows = home.engine.run(_unmatched, home.lake, project.id, days).to_pylist()
        wrong += [
            f"{row['day']}: {row['calls']} model calls, {row['outcomes']} outcomes, "
            f"{row['matched']} of them of one another"
            for row in sorted(rows, key=lambda row: row["day"])
            if not row["calls"] == row["outcomes"] == row["matched"]
        ]
    return wrong


def calls_not_measured(home: Deployment, days: Sequence[date]) -> list[str]:
    """Days on which histograms hold another number of latencies than the lake has calls with
    one, or than the percentiles were computed from."""
    wrong = []
    for project in home.projects():
        lake = home.engine.run(_with_latency, home.lake, project.id, days).to_pylist()
        expected = {row["day"]: row["n"] for row in lake}
        daily = _latencies(home, "latency_daily", project.id, days)
        buckets = _latencies(home, "latency_histogram", project.id, days)
        for day in days:
            found = (expected.get(day, 0), daily.get(day, 0), buckets.get(day, 0))
            if len(set(found)) > 1:
                wrong.append(
                    f"{day}: {found[0]} calls with a latency in the lake, {found[1]} behind the "
                    f"percentiles, {found[2]} in the histograms"
                )
    return wrong


def calls_not_counted(home: Deployment, days: Sequence[date]) -> list[str]:
    """Days on which error_daily counts other calls, attempts or errors than the lake has."""
    table = TABLES["error_daily"]
    counted = [
        sa.func.sum(table.c[name]).label(name) for name in ("requests", "attempts", "errors")
    ]
    wrong = []
    for project in home.projects():
        query = sa.select(table.c.day, *counted).group_by(table.c.day)
        query = query.where(table.c.project_id == project.id, table.c.day.in_(days))
        rows = home.database.read(query).to_dict("records")
        marts = {
            row["day"]: [int(row[n]) for n in ("requests", "attempts", "errors")] for row in rows
        }
        lake = home.engine.run(_calls, home.lake, project.id, days).to_pylist()
        expected = {row["day"]: [row["calls"], row["calls"], row["errors"]] for row in lake}
        wrong += [
            f"{day}: calls, attempts, errors are {marts.get(day)}, in the lake {expected.get(day)}"
            for day in days
            if marts.get(day) != expected.get(day)
        ]
    return wrong


def impossible_rates(home: Deployment, days: Sequence[date]) -> list[str]:
    """Rows of feedback_daily whose votes do not add up."""
    wrong = []
    for project in home.projects():
        for day in days:
            rows = home.database.table("feedback_daily", project.id, day, day)
            bad = rows[
                (rows["positive"] + rows["negative"] > rows["n"])
                | (rows["rated_traces"] > rows["traces"])
            ]
            if len(bad):
                wrong.append(f"{day}: {len(bad)} cells with more votes than there can be")
    return wrong


def _unmatched(t: Tables) -> ir.Table:
    key = ["day", "trace_id", "observation_id"]
    o = t["observations"]
    calls = o.filter(o.is_model_call).select(*key).mutate(call=1)
    ends = t["outcomes"].select(*key).mutate(outcome=1)
    both = calls.outer_join(ends, key)
    day = both.day.coalesce(both.day_right).name("day")
    return both.group_by(day).agg(
        calls=both.call.count(),
        outcomes=both.outcome.count(),
        matched=(both.call.notnull() & both.outcome.notnull()).sum(),
    )


def _with_latency(t: Tables) -> ir.Table:
    o = t["observations"]
    latency = o.latency_s
    o = o.filter(o.is_model_call & latency.notnull() & ~latency.isnan() & ~latency.isinf())
    return o.group_by("day").agg(n=o.count())


def _calls(t: Tables) -> ir.Table:
    o = t["observations"]
    o = o.filter(o.is_model_call)
    return o.group_by("day").agg(calls=o.count(), errors=(o.level == "ERROR").sum())


def _latencies(home: Deployment, name: str, project: str, days: Sequence[date]) -> dict[date, int]:
    table = TABLES[name]
    query = sa.select(table.c.day, sa.func.sum(table.c.n).label("n")).group_by(table.c.day)
    query = query.where(
        table.c.project_id == project,
        table.c.day.in_(days),
        table.c.level == "observation",
        table.c.metric == "latency",
    )
    return {row.day: int(row.n) for row in home.database.read(query).itertuples()}
