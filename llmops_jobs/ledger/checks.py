"""What must hold of the ledger's days, as questions to the lake and the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.deployment import Deployment


_ROWS_AT_ONCE: Final = 300_000
_KEYS: Final = ("trace_id", "observation_id")


def calls_without_cost(home: Deployment, days: Iterable[date]) -> list[str]:
    """One line per project and day on which calls and cost rows do not match one to one."""
    wrong = []
    for day in days:
        for project in home.projects():
            if _in_order(home, project.id, day):
                continue
            (row,) = home.engine.run(_matching, home.lake, project.id, [day]).to_pylist()
            if row["calls"] != row["matched"] or row["calls"] != row["cost_rows"]:
                wrong.append(
                    f"{project.id} {day}: {row['calls']} calls, {row['cost_rows']} cost rows, "
                    f"{row['matched']} matched"
                )
    return wrong


def _in_order(home: Deployment, project: str, day: date) -> bool:
    """Whether the cost rows are the calls' one by one, as pricing writes them. Of a day that is
    too large to be held, not known."""
    from llmops_jobs.ledger.pricing import model_calls, same_calls

    if home.lake.count("observations", project, day) > _ROWS_AT_ONCE:
        return False
    rows = home.lake.read_day("observations", project, day, (*_KEYS, "is_model_call"))
    return same_calls(model_calls(rows), home.lake.read_day("costs", project, day, _KEYS))


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


def doubtful_amounts(home: Deployment, days: Sequence[date]) -> list[str]:
    """Amounts of those days that are missing or doubtful for another cause than the price, each
    with its calls and the models called most: `negative_tokens: 3 calls of gpt-4o`."""
    if not days:
        return []
    told = []
    for project in home.projects():
        rows = home.database.table("cost_issue_daily", project.id, min(days), max(days))
        rows = rows[rows["issue"] != "missing_price"]
        for issue, parts in rows.groupby("issue"):
            calls = parts.groupby("model")["requests"].sum().sort_values(ascending=False)
            models = ", ".join(str(model) or "(no model)" for model in calls.index[:3])
            told.append(f"{issue}: {calls.sum():,} calls of {models}")
    return told


def unexplained_models(home: Deployment, days: Sequence[date], share: float = 0.01) -> list[str]:
    """Models that the source charges another price for, without a known cause, where it matters:
    the difference is more than a share of the spend of those days."""
    if not days:
        return []
    told = []
    for project in home.projects():
        rows = home.database.table("cost_audit", project.id, min(days), max(days))
        spend = sum(rows["cost_usd"], Decimal(0))
        unexplained = rows[rows["cause"] == "other_price"]
        for model, parts in unexplained.groupby("model"):
            off = sum(parts["difference_usd"], Decimal(0))
            if abs(off) > Decimal(str(share)) * spend:
                told.append(f"{model or '(none)'} ({off:+.2f} dollars)")
    return told


def changes_that_do_not_add_up(home: Deployment, days: Sequence[date]) -> list[str]:
    """Scopes whose factors do not sum to their change of spend to the cent."""
    if not days:
        return []
    wrong = []
    for project in home.projects():
        rows = home.database.table("spend_change", project.id, min(days), max(days))
        for (day, period, scope), parts in rows.groupby(["day", "period", "scope"]):
            change = parts["after_usd"].iloc[0] - parts["before_usd"].iloc[0]
            left = change - sum(parts["effect_usd"], Decimal(0))
            if abs(left) >= Decimal("0.005"):
                wrong.append(f"{project.id} {day} {period} {scope}: {left} dollars unexplained")
    return wrong


def days_priced_otherwise(home: Deployment, project: str) -> list[date]:
    """Days of the marts that were priced with another book than the one that is configured now.

    `llmops run --select 'costs*'` over them applies the new one.
    """
    import sqlalchemy as sa

    from llmops_jobs.ledger.book import load_book
    from llmops_jobs.store.tables import TABLES

    usage = TABLES["usage_daily"]
    held = home.database.read(
        sa.select(usage.c.day)
        .where(usage.c.project_id == project)
        .where(usage.c.price_book_hash != load_book(home.settings.ledger).hash)
        .distinct()
        .order_by(usage.c.day)
    )
    return list(held["day"])


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
