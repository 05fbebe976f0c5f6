"""Where the month is heading: spend to date, its forecast, and the budgets held against it."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import accumulate
from typing import Any

import numpy as np

from llmops_jobs.report.edition import Edition, end_of_month
from llmops_jobs.report.model import (
    Band,
    Block,
    Limit,
    LineChart,
    Prose,
    Section,
    Series,
    Text,
    figure,
    name,
    numbers,
)
from llmops_jobs.report.sections import budgets
from llmops_jobs.report.words import write


def section(edition: Edition) -> Section:
    """Spend of the month to date, its forecast, and every budget."""
    blocks: list[Block] = []
    outlook = month_end(edition)
    start = edition.last.replace(day=1)
    if edition.usage.covered(start, edition.last):
        blocks.append(_chart(edition, outlook, budgets.of_month(edition)))
    lead: Prose = [
        "Spend so far this month: ",
        figure(edition.usage.usd(start, edition.last), "usd"),
    ]
    if outlook is not None:
        lead += [
            ". It is heading for ",
            figure(outlook.p50, "usd"),
            ", in four of five cases between ",
            figure(outlook.p10, "usd"),
            " and ",
            figure(outlook.p90, "usd"),
            ".",
        ]
    elif edition.last == end_of_month(edition.last):
        lead += [": the month is complete."]
    else:
        lead += [". There is no forecast as of this day: it needs a few weeks of history."]
    held = budgets.held(edition)
    if held:
        blocks.append(budgets.table(edition, held))
    else:
        why: Prose = [
            "No budget was held against this day; they are set under ",
            name("budgets"),
            ".",
        ]
        blocks.append(Text(prose=why))
    return Section(
        id="month",
        title="Month to date",
        lead=lead,
        blocks=blocks,
        traces=edition.links.calls(start, edition.last),
        width="half",
    )


def month_end(edition: Edition) -> Any | None:
    """The forecast of the calendar month's total spend, as of the last day."""
    rows = [
        row
        for row in edition.marts.on("period_forecast", edition.last)
        if row.period == f"{edition.last:%Y-%m}"
    ]
    # Distributions of several projects do not add up; one project's does.
    return rows[0] if len(rows) == 1 else None


def ahead(edition: Edition) -> list[Any]:
    """The forecast of the days after the last, in order."""
    rows = edition.marts.on("spend_forecast", edition.last)
    if len({row.project_id for row in rows}) > 1:
        return []
    return sorted(rows, key=lambda row: row.target_day)


def _chart(edition: Edition, outlook: Any | None, budget: Any | None) -> LineChart:
    first, last = edition.last.replace(day=1), edition.last
    end = end_of_month(last)
    days = [first + timedelta(days=offset) for offset in range((end - first).days + 1)]
    spent = list(accumulate(usd or 0.0 for usd in edition.usage.usd_series(first, last)))
    left = len(days) - len(spent)
    series = [Series(name="month to date", values=numbers([*spent, *[None] * left]))]
    bands = []
    if outlook is not None and left:
        # The stored quantiles are those of the month's end; the way there follows the daily means.
        share = _share_of_rest(edition, last, end)
        blank = [None] * (len(spent) - 1)

        def path(quantile: str) -> list[float | None]:
            rest = float(getattr(outlook, quantile)) - spent[-1]
            return [*blank, spent[-1], *(spent[-1] + rest * share)]

        series.append(Series(name="median forecast", style="dash", values=numbers(path("p50"))))
        bands = [
            Band(name="95% interval", low=numbers(path("p025")), high=numbers(path("p975"))),
            Band(name="80% interval", low=numbers(path("p10")), high=numbers(path("p90"))),
        ]
    limits = []
    if budget is not None:
        amount = figure(budget.amount_usd, "usd").value
        text = f"budget {write(budget.amount_usd, 'usd')}"
        limits.append(Limit(name="budget", value=amount, text=text))
    return LineChart(
        id="month-to-date",
        title="Month to date, cumulative USD",
        unit="usd",
        days=days,
        series=series,
        bands=bands,
        limits=limits,
        forecast_from=last + timedelta(days=1) if bands else None,
    )


def _share_of_rest(edition: Edition, last: date, end: date) -> np.ndarray:
    """Which share of the rest of the month is expected by each day left."""
    days = (end - last).days
    means = np.array([row.mean or 0.0 for row in ahead(edition) if last < row.target_day <= end])
    if len(means) == days and means.sum() > 0:
        share: np.ndarray = means.cumsum() / means.sum()
        return share
    return np.arange(1, days + 1) / days
