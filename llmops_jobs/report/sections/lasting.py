"""Lasting changes: metrics that moved to a new level, and what is known to have happened."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import of_call
from llmops_jobs.report.model import (
    Cell,
    Column,
    Finding,
    Link,
    Prose,
    Section,
    Table,
    Text,
    Unit,
    cell,
    figure,
    interval,
    label,
    name,
)
from llmops_jobs.report.sections.versions import metric_name, units_of
from llmops_jobs.report.words import write

_SHOWN = 6


def section(edition: Edition) -> Section:
    """Those that were first reported in the charts' span, newest first."""
    rows = _known(edition, *edition.history)
    rows = sorted(rows, key=lambda row: row.day, reverse=True)
    if not rows:
        return Section(
            id="changes",
            title="Lasting changes",
            blocks=[Text(prose=["No metric moved to a new level in this span."])],
            width="half",
        )
    note: Prose = []
    if len(rows) > _SHOWN:
        hidden = figure(len(rows) - _SHOWN, "count")
        note = [hidden, " older ones are in the table ", name("change_point"), "."]
    return Section(
        id="changes",
        title="Lasting changes",
        lead=["Where a metric moved to a new level, joined with what is known to have happened."],
        blocks=[
            Table(
                id="change-points",
                title="Change points",
                columns=[
                    Column(key="day", label="Since"),
                    Column(key="metric", label="Metric"),
                    Column(key="levels", label="Level", numeric=True),
                    Column(key="effect", label="Effect, 95% interval", numeric=True),
                    Column(key="cause", label="What happened"),
                ],
                rows=[_row(edition, row) for row in rows[:_SHOWN]],
                note=note,
            )
        ],
        traces=edition.links.calls(*edition.history),
        width="half",
    )


def _units(metric: str) -> tuple[Unit, Unit]:
    """(unit of the level, unit of the effect): relative for money and time, points for rates."""
    value_unit, change_unit = units_of(metric)
    return value_unit, change_unit if value_unit == "ratio" else "relative"


def _row(edition: Edition, row: Any) -> list[Cell]:
    value_unit, change_unit = _units(str(row.metric))
    levels = " → ".join(write(level, value_unit) for level in (row.expected, row.value))
    effect = interval(row.low, row.high, change_unit)
    return [
        cell(row.day.isoformat(), "day"),
        label(metric_name(row.metric), 48, note=[name(row.scope, 60)], href=_calls(edition, row)),
        Cell(text=levels),
        cell(row.effect, change_unit, note=effect),
        label(row.cause, 160) if row.cause else Cell(text="no known event"),
    ]


def _calls(edition: Edition, row: Any) -> str | None:
    """The calls of the first three days of the new level."""
    dimension, _, value = str(row.scope).partition("=")
    end = min(row.day + timedelta(days=2), edition.last)
    return edition.links.calls(row.day, end, *of_call(dimension, value))


def _known(edition: Edition, first: date, last: date) -> list[Any]:
    """Change points of the days that a report as of the last day could know."""
    return [
        row
        for row in edition.marts.rows("change_point", first, last)
        if row.detected_on is None or row.detected_on <= edition.last
    ]


def findings(edition: Edition) -> list[Finding]:
    found = []
    for row in _known(edition, edition.first, edition.last)[:4]:
        prose: Prose = [
            name(metric_name(row.metric), 48),
            " of ",
            name(row.scope, 60),
            " moved to a new level on ",
            figure(row.day, "date"),
            ": ",
            figure(row.effect, _units(str(row.metric))[1]),
            ".",
        ]
        if row.cause:
            prose += [" ", name(row.cause, 160)]
        evidence = [Link(text="evidence", href="#changes")]
        if calls := _calls(edition, row):
            evidence.append(Link(text="calls", href=calls))
        found.append(
            Finding(status="watch", topic="Change", prose=prose, evidence=evidence, weight=1.0)
        )
    return found
