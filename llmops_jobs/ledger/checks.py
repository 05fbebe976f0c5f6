"""What must hold of the ledger's days, as questions to the lake and the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.deployment import Deployment


def calls_without_cost(home: Deployment, days: Iterable[date]) -> list[str]:
    """One line per project and day on which calls and cost rows do not match one to one."""
    wrong = []
    for day in days:
        for project in home.projects():
            (row,) = home.engine.run(_matching, home.lake, project.id, [day]).to_pylist()
            if row["calls"] != row["matched"] or row["calls"] != row["cost_rows"]:
                wrong.append(
                    f"{project.id} {day}: {row['calls']} calls, {row['cost_rows']} cost rows, "
                    f"{row['matched']} matched"
                )
    return wrong


def unpriced_models(home: Deployment, days: Sequence[date]) -> list[str]:
    """The models without a price in those days, with their calls: `mystery (12 calls)`."""
    if not days:
        return []
    calls: dict[str, int] = {}
    for project in home.projects():
        rows = home.database.table(
            "usage_daily", project.id, min(days), max(days), price_status="unpriced"
        )
        for model, requests in zip(rows["model"], rows["requests"], strict=True):
            calls[model or "(none)"] = calls.get(model or "(none)", 0) + int(requests)
    most = sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    return [f"{model} ({requests} calls)" for model, requests in most]


def _matching(tables: Mapping[str, ir.Table]) -> ir.Table:
    calls, costs = tables["observations"], tables["costs"]
    calls = calls.filter(calls.is_model_call).select("day", "trace_id", "observation_id")
    keys = ["day", "trace_id", "observation_id"]
    matched = calls.join(costs.select(*keys), keys).aggregate(matched=lambda t: t.count())
    return (
        calls.aggregate(calls=lambda t: t.count())
        .cross_join(costs.aggregate(cost_rows=lambda t: t.count()))
        .cross_join(matched)
    )
