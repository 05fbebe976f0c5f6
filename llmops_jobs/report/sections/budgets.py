"""Budgets: what is spent, where each is heading, and what to do about those that will not hold."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from llmops_jobs.report.edition import Edition, end_of_month
from llmops_jobs.report.links import of_call
from llmops_jobs.report.model import (
    Cell,
    Column,
    Decision,
    Finding,
    Link,
    Prose,
    Status,
    Table,
    cell,
    figure,
    interval,
    label,
    name,
)
from llmops_jobs.report.words import clean

STATUS: dict[str, tuple[Status, str]] = {
    "over": ("act", "Over"),
    "at_risk": ("watch", "At risk"),
    "ok": ("ok", "On track"),
    "no_data": ("none", "No data"),
}


def held(edition: Edition) -> list[Any]:
    """The budgets as of the last day, the most pressed first."""
    rows = edition.marts.on("budget_status", edition.last)
    return sorted(rows, key=lambda row: -(row.probability_over or 0.0))


def of_month(edition: Edition) -> Any | None:
    """The budget of all spend of the calendar month, where there is one."""
    start = edition.last.replace(day=1)
    end = end_of_month(edition.last) + timedelta(days=1)
    total = [
        row
        for row in held(edition)
        if row.scope == "total" and row.period_start == start and row.period_end == end
    ]
    return total[0] if len(total) == 1 else None


def table(edition: Edition, budgets: list[Any]) -> Table:
    columns = [
        Column(key="budget", label="Budget"),
        Column(key="status", label="Status"),
        Column(key="spent_usd", label="Spent", numeric=True, help="of the amount"),
        Column(key="forecast_p50_usd", label="Forecast", numeric=True, help="median at its end"),
        Column(
            key="probability_over", label="P(over)", numeric=True, help="and the day it is used up"
        ),
    ]
    rows = []
    for row in budgets:
        status, word = STATUS.get(str(row.status), ("none", clean(row.status)))
        amount = float(row.amount_usd or 0)
        share = min((row.spent_usd or 0.0) / amount, 1.0) if amount > 0 else None
        rows.append(
            [
                label(row.budget, note=_scope(row.scope), href=_calls(edition, row)),
                Cell(text=word, status=status),
                cell(row.spent_usd, "usd", note=["of ", figure(amount, "usd")], share=share),
                cell(row.forecast_p50_usd, "usd", note=_range(row)),
                cell(row.probability_over, "share", note=_day(row.exhausted_on)),
            ]
        )
    return Table(id="budgets", title="Budgets", columns=columns, rows=rows)


def _calls(edition: Edition, row: Any) -> str | None:
    """The calls that a budget counts so far."""
    dimension, _, value = str(row.scope).partition("=")
    first = row.period_start or edition.first
    return edition.links.calls(first, edition.last, *of_call(dimension, value))


def _scope(scope: str) -> Prose | None:
    return None if scope == "total" else [name(scope)]


def _range(row: Any) -> Prose | None:
    low, high = row.forecast_p10_usd, row.forecast_p90_usd
    return None if low is None or high is None else interval(low, high, "usd")


def _day(value: object) -> Prose | None:
    return [figure(value, "day")] if isinstance(value, date) else None


def pressed(edition: Edition) -> list[Any]:
    return [row for row in held(edition) if row.status in ("over", "at_risk")]


def findings(edition: Edition) -> list[Finding]:
    return [_finding(edition, row) for row in pressed(edition)]


def _finding(edition: Edition, row: Any) -> Finding:
    spent, amount = float(row.spent_usd or 0), float(row.amount_usd or 0)
    prose: Prose = ["Budget ", name(row.budget)]
    if spent >= amount:
        prose += [" is used up: ", figure(spent, "usd"), " of ", figure(amount, "usd"), "."]
    else:
        prose += [
            " will be exceeded with probability ",
            figure(row.probability_over, "share"),
            ": heading for ",
            figure(row.forecast_p50_usd, "usd"),
            " (",
            figure(row.forecast_p10_usd, "usd"),
            " to ",
            figure(row.forecast_p90_usd, "usd"),
            ") against ",
            figure(amount, "usd"),
            ".",
        ]
        if isinstance(row.exhausted_on, date):
            prose += [" It is used up around ", figure(row.exhausted_on, "date"), "."]
    evidence = [Link(text="evidence", href="#month")]
    if calls := _calls(edition, row):
        evidence.append(Link(text="calls", href=calls))
    return Finding(
        status="act" if row.status == "over" else "watch",
        topic="Budget",
        prose=prose,
        evidence=evidence,
        weight=max(float(row.forecast_p50_usd or spent) - amount, 0.0),
    )


def decisions(edition: Edition) -> list[Decision]:
    asked = []
    for row in pressed(edition):
        prose: Prose = ["Budget ", name(row.budget), ": raise it, or cut spend."]
        if row.advice:
            prose += [" ", name(row.advice, 240)]
        asked.append(Decision(prose=prose, command="llmops budgets"))
    return asked
