"""The rules that work without being written: what anybody would want to be told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.store import Database

if TYPE_CHECKING:
    import pandas as pd

# A model whose unpriced calls are a smaller share than this of the day's is no incident.
_UNPRICED_SHARE = 0.001


def built_in(database: Database, project: str, day: date) -> list[Finding]:
    return [
        *_unpriced(database, project, day),
        *_budgets(database, project, day),
        *_anomalies(database, project, day),
        *_completeness(database, project, day),
        *_new_error_families(database, project, day),
    ]


def _unpriced(database: Database, project: str, day: date) -> Iterator[Finding]:
    usage = database.table("usage_daily", project, day, day)
    calls = usage["requests"].sum()
    for key, rows in usage.groupby("model"):
        model = str(key)
        n = int(rows.loc[rows["price_status"] == "unpriced", "requests"].sum())
        tokens = rows.loc[rows["price_status"] == "unpriced", ["input_tokens", "output_tokens"]]
        yield Finding(
            rule="unpriced-model",
            labels={"model": model},
            firing=n > _UNPRICED_SHARE * calls,
            severity="warning",
            summary=f"{n:,} calls of {model or '(none)'} have no price: "
            f"{int(tokens.to_numpy().sum()):,} tokens are not in the spend",
            value=float(n),
            threshold=0.0,
            n=n,
        )


def _budgets(database: Database, project: str, day: date) -> Iterator[Finding]:
    for row in _rows(database.table("budget_status", project, day, day)):
        probability = float(row["probability_over"] or 0)
        yield Finding(
            rule="budget",
            labels={"budget": row["budget"]},
            firing=row["status"] in ("at_risk", "over"),
            severity="critical" if row["status"] == "over" else "warning",
            summary=f"Budget {row['budget']} of ${row['amount_usd']:,.0f}: "
            f"{probability:.0%} likely to be overrun by {row['period_end']}",
            value=probability,
            threshold=0.5,
            detail={"scope": row["scope"]},
            owner=row["owner"],
            clear_days=2,
        )


def _anomalies(database: Database, project: str, day: date) -> Iterator[Finding]:
    seen: set[tuple[str, ...]] = set()
    for row in _rows(database.table("anomaly", project, day, day)):
        seen.add((row["scope"], row["metric"]))
        yield Finding(
            rule="anomaly",
            labels={"scope": row["scope"], "metric": row["metric"]},
            firing=True,
            severity="warning",
            summary=f"{row['metric']} of {row['scope']} was {row['value']:,.2f}, "
            f"expected {row['expected']:,.2f} ({row['low']:,.2f} to {row['high']:,.2f})",
            value=row["value"],
            threshold=row["high"] if row["value"] > row["expected"] else row["low"],
            detail={"cause": row["cause"]},
        )
    yield from _cleared(database, project, "anomaly", seen, ("scope", "metric"))


def _completeness(database: Database, project: str, day: date) -> Iterator[Finding]:
    for row in _rows(database.table("reconciliation", project, day, day)):
        yield Finding(
            rule="data-completeness",
            labels={},
            firing=row["status"] in ("differs", "truncated"),
            severity="warning",
            summary=f"{day}: {row['detail'] or row['status']}",
            value=float(row["unexplained"] or 0),
            threshold=0.0,
        )


def _new_error_families(database: Database, project: str, day: date) -> Iterator[Finding]:
    families = database.table("error_family", project=project)
    for row in _rows(families[families["first_seen"] == day] if len(families) else families):
        yield Finding(
            rule="new-error-family",
            labels={"family": row["family_id"]},
            firing=True,
            severity="warning",
            summary=f"A kind of error never seen before: {row['error_type']}, {row['template']}",
            detail={"trace_id": row["example_trace_id"]},
        )


def _cleared(
    database: Database,
    project: str,
    rule: str,
    firing: set[tuple[str, ...]],
    names: tuple[str, ...],
) -> Iterator[Finding]:
    """A quiet finding for every open incident of the rule that has no row today."""
    import json

    open_rows = database.table("incident", project=project, rule=rule)
    for row in _rows(open_rows[open_rows["state"] != "resolved"] if len(open_rows) else open_rows):
        labels = json.loads(row["labels"])
        if tuple(labels[name] for name in names) not in firing:
            yield Finding(rule, labels, False, row["severity"], row["summary"])


def _rows(frame: pd.DataFrame) -> list[dict]:
    return frame.to_dict("records")
