"""Where the month is heading, what the budgets say, and why spend changed."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from llmops_jobs.report.edition import Edition, end_of_month
from llmops_jobs.report.model import (
    Band,
    Block,
    Cell,
    Column,
    Decision,
    Finding,
    Limit,
    LineChart,
    Link,
    Mark,
    Prose,
    Section,
    Series,
    Status,
    Step,
    Table,
    Text,
    Waterfall,
    cell,
    figure,
    interval,
    label,
    name,
    numbers,
)
from llmops_jobs.report.words import clean, write

BUDGET_STATUS: dict[str, tuple[Status, str]] = {
    "over": ("act", "Over"),
    "at_risk": ("watch", "At risk"),
    "ok": ("ok", "On track"),
    "no_data": ("none", "No data"),
}
_FACTORS = {
    "volume": "volume",
    "tokens_per_request": "tokens / request",
    "model_mix": "model mix",
    "cache": "caching",
    "price": "price",
    "retries": "retries",
    "residual": "other",
}
_FORECAST_DAYS = 7


def month(edition: Edition) -> Section:
    """Spend of the month to date, its forecast, and every budget."""
    blocks: list[Block] = []
    outlook = outlook_of(edition)
    budgets = edition.marts.on("budget_status", edition.last)
    total_budget = _budget_of_month(budgets, edition.last)
    if edition.usage.covered(edition.last.replace(day=1), edition.last):
        blocks.append(_month_chart(edition, outlook, total_budget))
    lead: Prose = [
        "Spend so far this month: ",
        figure(edition.usage.usd(edition.last.replace(day=1), edition.last), "usd"),
    ]
    if outlook is not None:
        lead += [
            ". It is heading for ",
            figure(outlook["p50"], "usd"),
            ", in four of five cases between ",
            figure(outlook["p10"], "usd"),
            " and ",
            figure(outlook["p90"], "usd"),
            ".",
        ]
    elif edition.last == end_of_month(edition.last):
        lead += [": the month is complete."]
    else:
        lead += [". There is no forecast as of this day: it needs a few weeks of history."]
    if len(budgets):
        blocks.append(_budget_table(budgets))
    else:
        blocks.append(
            Text(
                prose=[
                    "No budget was held against this day; they are set under ",
                    name("budgets"),
                    ".",
                ]
            )
        )
    return Section(id="month", title="Month to date", lead=lead, blocks=blocks, width="half")


def outlook_of(edition: Edition) -> pd.Series | None:
    """The forecast of the calendar month's total spend, as of the last day."""
    rows = edition.marts.on("period_forecast", edition.last)
    rows = rows[
        (rows["scope"] == "total")
        & (rows["metric"] == "cost_usd")
        & (rows["period"] == f"{edition.last:%Y-%m}")
    ]
    # Distributions of several projects do not add up; one project's does.
    return rows.iloc[0] if len(rows) == 1 else None


def _budget_of_month(budgets: pd.DataFrame, day: date) -> pd.Series | None:
    total = budgets[
        (budgets["scope"] == "total")
        & (budgets["period_start"] == day.replace(day=1))
        & (budgets["period_end"] == end_of_month(day) + timedelta(days=1))
    ]
    return total.iloc[0] if len(total) == 1 else None


def _month_chart(
    edition: Edition, outlook: pd.Series | None, budget: pd.Series | None
) -> LineChart:
    first, last = edition.last.replace(day=1), edition.last
    end = end_of_month(last)
    days = [first + timedelta(days=offset) for offset in range((end - first).days + 1)]
    so_far = (last - first).days + 1
    spent = np.nancumsum(np.array(edition.usage.usd_series(first, last), dtype=float))
    ahead = len(days) - so_far
    series = [Series(name="month to date", values=numbers([*spent, *[None] * ahead]))]
    bands = []
    if outlook is not None and ahead:
        # The stored quantiles are those of the month's end; the way there follows the daily means.
        share = _share_of_rest(edition, last, end)
        blank = [None] * (so_far - 1)

        def path(quantile: str) -> list[float | None]:
            rest = float(outlook[quantile]) - spent[-1]
            return [*blank, spent[-1], *(spent[-1] + rest * share)]

        series.append(Series(name="median forecast", style="dash", values=numbers(path("p50"))))
        bands = [
            Band(name="95% interval", low=numbers(path("p025")), high=numbers(path("p975"))),
            Band(name="80% interval", low=numbers(path("p10")), high=numbers(path("p90"))),
        ]
    limits = []
    if budget is not None:
        limits.append(_limit(float(budget["amount_usd"]), "budget"))
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
    rows = _daily_forecast(edition)
    inside = [last < day <= end for day in rows["target_day"]]
    rows = rows[np.array(inside, dtype=bool)]
    if len(rows) == days and rows["mean"].sum() > 0:
        return (rows["mean"].cumsum() / rows["mean"].sum()).to_numpy(float)
    return np.arange(1, days + 1) / days


def _daily_forecast(edition: Edition) -> pd.DataFrame:
    rows = edition.marts.on("spend_forecast", edition.last)
    rows = rows[(rows["scope"] == "total") & (rows["metric"] == "cost_usd")]
    if rows["project_id"].nunique() > 1:
        return rows.iloc[:0]
    return rows.sort_values("target_day")


def _limit(value: float, text: str) -> Limit:
    return Limit(name=text, value=figure(value, "usd").value, text=f"{text} {write(value, 'usd')}")


def _budget_table(budgets: pd.DataFrame) -> Table:
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
    for row in budgets.sort_values("probability_over", ascending=False).itertuples():
        status, word = BUDGET_STATUS.get(str(row.status), ("none", clean(row.status)))
        amount = float(row.amount_usd or 0)
        rows.append(
            [
                label(row.budget, note=_scope(row.scope)),
                Cell(text=word, status=status),
                cell(
                    row.spent_usd,
                    "usd",
                    note=["of ", figure(amount, "usd")],
                    share=_share(row.spent_usd, amount),
                ),
                cell(row.forecast_p50_usd, "usd", note=_range(row)),
                cell(row.probability_over, "share", note=_day(row.exhausted_on)),
            ]
        )
    return Table(id="budgets", title="Budgets", columns=columns, rows=rows)


def _scope(scope: str) -> Prose | None:
    return None if scope == "total" else [name(scope)]


def _share(part: float | None, whole: float) -> float | None:
    return min(float(part or 0) / whole, 1.0) if whole > 0 else None


def _range(row: object) -> Prose | None:
    low, high = getattr(row, "forecast_p10_usd", None), getattr(row, "forecast_p90_usd", None)
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return None
    return interval(low, high, "usd")


def _day(value: object) -> Prose | None:
    return [figure(value, "day")] if isinstance(value, date) else None


def days(edition: Edition) -> Section:
    """Daily spend with the days that did not fit and the days ahead, and what drove the change."""
    first, last = edition.history
    actual = edition.usage.usd_series(first, last)
    forecast = _daily_forecast(edition).head(_FORECAST_DAYS)
    ahead = [None] * len(forecast)
    blank = [None] * len(actual)
    chart = LineChart(
        id="daily-spend",
        title="Daily spend, USD",
        unit="usd",
        days=[*edition.history_days, *forecast["target_day"]],
        series=[
            Series(name="spend", values=numbers([*actual, *ahead])),
            Series(
                name="median forecast", style="dash", values=numbers([*blank, *forecast["p50"]])
            ),
        ],
        bands=[
            Band(
                name=f"{percent}% interval",
                low=numbers([*blank, *forecast[low]]),
                high=numbers([*blank, *forecast[high]]),
            )
            for percent, low, high in ((95, "p025", "p975"), (80, "p10", "p90"))
            if len(forecast)
        ],
        marks=_anomaly_marks(edition),
        forecast_from=last + timedelta(days=1) if len(forecast) else None,
    )
    blocks: list[Block] = [*waterfalls(edition)]
    if not blocks:
        blocks = [Text(prose=["There is no earlier period to explain a change against."])]
    if edition.usage.covered(first, last):
        blocks.append(chart)
    return Section(
        id="change",
        title="Why spend changed",
        lead=["The change split exactly into its causes; the steps sum to the difference."],
        blocks=blocks,
        width="half",
    )


def _anomaly_marks(edition: Edition) -> list[Mark]:
    rows = edition.marts.rows("anomaly", *edition.history)
    rows = rows[(rows["scope"] == "total") & (rows["metric"] == "cost_usd")]
    return [
        Mark(
            x=row.day,
            value=figure(row.value, "usd").value,
            text=f"{write((row.value or 0) - (row.expected or 0), 'usd_change')} to forecast",
            status="watch",
        )
        for row in rows.itertuples()
    ]


def waterfalls(edition: Edition) -> list[Waterfall]:
    kinds = ["day", "week"] if edition.period.kind == "day" else ["week"]
    charts = (_waterfall(edition, kind) for kind in kinds)
    return [chart for chart in charts if chart is not None]


def change_rows(edition: Edition, kind: str) -> pd.DataFrame:
    """The factors of the change of total spend, largest effect first."""
    rows = edition.marts.on("spend_change", edition.last)
    rows = rows[(rows["scope"] == "total") & (rows["period"] == kind)]
    if rows.empty:
        return rows
    grouped = rows.groupby("factor", as_index=False)[
        ["before_usd", "after_usd", "effect_usd"]
    ].sum()
    return grouped.sort_values("effect_usd", key=lambda effect: -effect.abs(), kind="stable")


def _waterfall(edition: Edition, kind: str) -> Waterfall | None:
    rows = change_rows(edition, kind)
    if rows.empty or rows["before_usd"].iloc[0] == 0:
        return None
    before, after = float(rows["before_usd"].iloc[0]), float(rows["after_usd"].iloc[0])
    titles = {
        "day": ("The day against the day before", "day before", "this day"),
        "week": ("Seven days against the seven before", "7 days before", "these 7 days"),
    }
    title, start, end = titles[kind]
    order = {factor: place for place, factor in enumerate(_FACTORS)}
    rows = rows.sort_values("factor", key=lambda factor: factor.map(order))
    steps = [
        Step(name=start, value=figure(before, "usd").value, text=write(before, "usd"), total=True)
    ]
    for row in rows.itertuples():
        effect = float(row.effect_usd or 0)
        if abs(effect) < 0.0005 * max(before, after):
            continue  # too thin to be drawn
        steps.append(
            Step(
                name=_FACTORS.get(str(row.factor), clean(row.factor, 20)),
                value=figure(effect, "usd").value,
                text=write(effect, "usd_change"),
            )
        )
    steps.append(
        Step(name=end, value=figure(after, "usd").value, text=write(after, "usd"), total=True)
    )
    return Waterfall(id=f"waterfall-{kind}", title=title, unit="usd", steps=steps)


def findings(edition: Edition) -> list[Finding]:
    found = [_budget_finding(row) for row in _pressed(edition).itertuples()]
    rows = edition.marts.rows("anomaly", edition.first, edition.last)
    for row in rows[rows["metric"] == "cost_usd"].head(5).itertuples():
        above = (row.value or 0) >= (row.expected or 0)
        prose: Prose = [
            "Spend of ",
            *_scope_prose(str(row.scope)),
            " on ",
            figure(row.day, "date"),
            f" was {'above' if above else 'below'} its forecast: ",
            figure(row.value, "usd"),
            " against ",
            figure(row.expected, "usd"),
            " expected (",
            figure(row.low, "usd"),
            " to ",
            figure(row.high, "usd"),
            ").",
        ]
        if row.cause:
            prose += [" Explained by ", name(row.cause, 160), "."]
        gap = abs((row.value or 0) - (row.expected or 0))
        found.append(
            Finding(
                status="watch",
                topic="Cost",
                prose=prose,
                evidence=[Link(text="evidence", href="#change")],
                weight=float(gap),
            )
        )
    return found


def _pressed(edition: Edition) -> pd.DataFrame:
    budgets = edition.marts.on("budget_status", edition.last)
    return budgets[budgets["status"].isin(["over", "at_risk"])]


def _budget_finding(row: object) -> Finding:
    get = lambda field: getattr(row, field)  # noqa: E731
    over = get("status") == "over"
    spent, amount = float(get("spent_usd") or 0), float(get("amount_usd") or 0)
    prose: Prose = ["Budget ", name(get("budget"))]
    if spent >= amount:
        prose += [" is used up: ", figure(spent, "usd"), " of ", figure(amount, "usd"), "."]
    else:
        prose += [
            " will be exceeded with probability ",
            figure(get("probability_over"), "share"),
            ": heading for ",
            figure(get("forecast_p50_usd"), "usd"),
            " (",
            figure(get("forecast_p10_usd"), "usd"),
            " to ",
            figure(get("forecast_p90_usd"), "usd"),
            ") against ",
            figure(amount, "usd"),
            ".",
        ]
        if isinstance(get("exhausted_on"), date):
            prose += [" It is used up around ", figure(get("exhausted_on"), "date"), "."]
    weight = max(float(get("forecast_p50_usd") or spent) - amount, 0.0)
    return Finding(
        status="act" if over else "watch",
        topic="Budget",
        prose=prose,
        evidence=[Link(text="evidence", href="#month")],
        weight=weight,
    )


def _scope_prose(scope: str) -> Prose:
    if scope == "total":
        return ["the whole project"]
    dimension, _, value = scope.partition("=")
    return [f"{clean(dimension, 20).replace('_', ' ')} ", name(value)]


def decisions(edition: Edition) -> list[Decision]:
    asked = []
    for row in _pressed(edition).itertuples():
        prose: Prose = ["Budget ", name(row.budget), ": raise it, or cut spend."]
        if row.advice:
            prose += [" ", name(row.advice, 240)]
        asked.append(Decision(prose=prose, command="llmops budgets"))
    return asked
