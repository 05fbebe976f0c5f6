"""Why spend changed: the split into causes, daily spend, and the days that fit no forecast."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from llmops_jobs.report.edition import Edition, compared_with
from llmops_jobs.report.links import of_call
from llmops_jobs.report.model import (
    Band,
    Block,
    Finding,
    LineChart,
    Link,
    Mark,
    Prose,
    Section,
    Series,
    Step,
    Text,
    Waterfall,
    figure,
    name,
    numbers,
)
from llmops_jobs.report.sections import outlook
from llmops_jobs.report.words import clean, write

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
_MATERIAL = 0.10


def section(edition: Edition) -> Section:
    blocks: list[Block] = [*waterfalls(edition)]
    if not blocks:
        blocks = [Text(prose=["There is no earlier period to explain a change against."])]
    if edition.usage.covered(*edition.history):
        blocks.append(_daily(edition))
    return Section(
        id="change",
        title="Why spend changed",
        lead=["The change split exactly into its causes; the steps sum to the difference."],
        blocks=blocks,
        traces=edition.links.calls(*edition.history),
        width="half",
    )


def _daily(edition: Edition) -> LineChart:
    """Daily spend with the days that did not fit and the days ahead."""
    first, last = edition.history
    actual = edition.usage.usd_series(first, last)
    forecast = outlook.ahead(edition)[:_FORECAST_DAYS]
    blank = [None] * len(actual)

    def beyond(quantile: str) -> list[Any]:
        return numbers([*blank, *(getattr(row, quantile) for row in forecast)])

    return LineChart(
        id="daily-spend",
        title="Daily spend, USD",
        unit="usd",
        days=[*edition.history_days, *(row.target_day for row in forecast)],
        series=[
            Series(name="spend", values=numbers([*actual, *[None] * len(forecast)])),
            Series(name="median forecast", style="dash", values=beyond("p50")),
        ],
        bands=[
            Band(name=f"{percent}% interval", low=beyond(low), high=beyond(high))
            for percent, low, high in ((95, "p025", "p975"), (80, "p10", "p90"))
            if forecast
        ],
        marks=_marks(edition),
        forecast_from=last + timedelta(days=1) if forecast else None,
    )


def _marks(edition: Edition) -> list[Mark]:
    return [
        Mark(
            x=row.day,
            value=figure(row.value, "usd").value,
            text=f"{write((row.value or 0) - (row.expected or 0), 'usd_change')} to forecast",
            status="watch",
        )
        for row in edition.marts.rows("anomaly", *edition.history)
        if row.scope == "total"
    ]


def waterfalls(edition: Edition) -> list[Waterfall]:
    kinds = ["day", "week"] if edition.period.kind == "day" else ["week"]
    charts = (_waterfall(edition, kind) for kind in kinds)
    return [chart for chart in charts if chart is not None]


def factors(edition: Edition, kind: str) -> tuple[float, float, dict[str, float]]:
    """(before, after, effect by factor) of the change of total spend, USD; over several projects
    the sums."""
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    effects: dict[str, float] = {}
    for row in edition.marts.on("spend_change", edition.last):
        if row.period == kind:
            before[row.project_id] = row.before_usd or 0.0
            after[row.project_id] = row.after_usd or 0.0
            effects[row.factor] = effects.get(row.factor, 0.0) + (row.effect_usd or 0.0)
    return sum(before.values()), sum(after.values()), effects


def _waterfall(edition: Edition, kind: str) -> Waterfall | None:
    before, after, effects = factors(edition, kind)
    if not effects or before == 0:
        return None
    title, start, end, days = {
        "day": ("The day against the day before", "day before", "this day", 1),
        "week": ("Seven days against the seven before", "7 days before", "these 7 days", 7),
    }[kind]
    steps = [
        Step(name=start, value=figure(before, "usd").value, text=write(before, "usd"), total=True)
    ]
    order = {factor: place for place, factor in enumerate(_FACTORS)}
    for factor in sorted(effects, key=lambda factor: order.get(factor, len(order))):
        effect = effects[factor]
        if abs(effect) < 0.0005 * max(before, after):
            continue  # too thin to be drawn
        steps.append(
            Step(
                name=_FACTORS.get(factor, clean(factor, 20)),
                value=figure(effect, "usd").value,
                text=write(effect, "usd_change"),
            )
        )
    steps.append(
        Step(name=end, value=figure(after, "usd").value, text=write(after, "usd"), total=True)
    )
    return Waterfall(
        id=f"waterfall-{kind}",
        title=title,
        unit="usd",
        steps=steps,
        traces=edition.links.calls(edition.last - timedelta(days=2 * days - 1), edition.last),
    )


def findings(edition: Edition) -> list[Finding]:
    """Spend that moved more than it usually does, and days outside their forecast."""
    spend = edition.judge(edition.spends, relative=True)
    found = [_anomaly(edition, row) for row in _anomalies(edition)[:5]]
    if spend.real and spend.change is not None and abs(spend.change) >= _MATERIAL:
        found.append(_moved(edition, spend.now or 0, spend.before or 0, spend.change))
    return found


def _anomalies(edition: Edition) -> list[Any]:
    return edition.marts.rows("anomaly", edition.first, edition.last)


def outside(edition: Edition) -> bool:
    """Whether a day's total spend lies outside the 95 % interval of its forecast."""
    return edition.period.kind == "day" and any(row.scope == "total" for row in _anomalies(edition))


def _anomaly(edition: Edition, row: Any) -> Finding:
    value, expected = row.value or 0.0, row.expected or 0.0
    prose: Prose = [
        "Spend of ",
        *_scope(str(row.scope)),
        " on ",
        figure(row.day, "date"),
        f" was {'above' if value >= expected else 'below'} its forecast: ",
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
    evidence = [Link(text="evidence", href="#change")]
    dimension, _, subject = str(row.scope).partition("=")
    if calls := edition.links.calls(row.day, row.day, *of_call(dimension, subject)):
        evidence.append(Link(text="calls", href=calls))
    return Finding(
        status="watch",
        topic="Cost",
        prose=prose,
        evidence=evidence,
        weight=abs(value - expected),
    )


def _scope(scope: str) -> Prose:
    if scope == "total":
        return ["the whole project"]
    dimension, _, value = scope.partition("=")
    return [f"{clean(dimension, 20).replace('_', ' ')} ", name(value)]


def _moved(edition: Edition, now: float, before: float, change: float) -> Finding:
    prose: Prose = [
        f"Spend {'rose' if change > 0 else 'fell'} ",
        figure(abs(change), "ratio"),
        " to ",
        figure(now, "usd"),
        " from ",
        figure(before, "usd"),
        " in ",
        compared_with(edition.period.kind),
        ".",
    ]
    effects = factors(edition, "week")[2]
    if effects:
        main = max(sorted(effects), key=lambda factor: abs(effects[factor]))
        prose += [
            " Over seven days the largest cause is ",
            name(main.replace("_", " "), 40),
            ": ",
            figure(effects[main], "usd_change"),
            ".",
        ]
    return Finding(
        status="watch" if change > 0 else "none",
        topic="Cost",
        prose=prose,
        evidence=[Link(text="evidence", href="#change")],
        weight=abs(now - before),
    )
