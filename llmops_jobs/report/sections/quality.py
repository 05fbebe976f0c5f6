"""Whether the answers were good: scored quality with its uncertainty.

Rates are those of trailing windows (a week for days and weeks, four weeks for months): a single
day rarely holds enough labels.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from llmops_jobs.report.edition import Edition, compared_with
from llmops_jobs.report.links import any_of
from llmops_jobs.report.model import (
    Band,
    Block,
    Cell,
    Column,
    Decision,
    Finding,
    LineChart,
    Link,
    Prose,
    Section,
    Series,
    Table,
    Text,
    cell,
    figure,
    interval,
    label,
    name,
    numbers,
)
from llmops_jobs.report.rates import Rate, Windows
from llmops_jobs.report.sections import failing, judge
from llmops_jobs.report.words import clean

_LABELS_WANTED = 30
_SHOWN = 7
METHODS = {
    "ppi++": "people + predictions",
    "wilson": "counted",
    "horvitz_thompson": "weighted sample",
    "uncalibrated": "uncalibrated",
}


def window_days(edition: Edition) -> int:
    return 28 if edition.period.kind == "month" else 7


def windows(edition: Edition) -> Windows:
    return edition.marts.quality(window_days(edition))


def headline(edition: Edition) -> str | None:
    """The metric of the quality tile; none over several projects, whose rates do not pool."""
    if len(edition.marts.projects) > 1:
        return None
    found = windows(edition)
    metrics = found.metrics(edition.last)
    known = [one for one in metrics if found.on(one, edition.last).estimate is not None]
    return next(iter(known), None)


def now(edition: Edition, metric: str) -> Rate:
    return windows(edition).on(metric, edition.last)


def between(edition: Edition, metric: str) -> Callable[[date, date], float | None]:
    """The metric's estimate as a function of a window's days; only its last day matters."""
    found = windows(edition)
    return lambda _first, last: found.on(metric, last).estimate


def section(edition: Edition) -> Section:
    found = windows(edition)
    metrics = found.metrics(edition.last) if len(edition.marts.projects) == 1 else []
    if not metrics:
        why = "No answer was scored in this period."
        if len(edition.marts.projects) > 1:
            why = "Quality is judged by project: see the projects' own reports."
        return _section(edition, [Text(prose=[why])], [])
    lead: Prose = ["Over ", figure(window_days(edition), "count"), " days. "]
    first = headline(edition)
    blocks: list[Block] = []
    if first is not None:
        lead += _told(first, found.on(first, edition.last))
        blocks.append(_chart(edition, first))
    blocks.append(_metrics(edition, metrics[:_SHOWN]))
    if metrics[_SHOWN:]:
        blocks.append(_metrics(edition, metrics[_SHOWN:], "quality-others", "Other metrics"))
    if first is not None:
        worst = _slices(edition, first)
        if worst is not None:
            blocks.append(worst)
    blocks += failing.blocks(edition)
    blocks += judge.blocks(edition)
    return _section(edition, blocks, [*lead, *judge.agreement(edition)])


def _section(edition: Edition, blocks: list[Block], lead: Prose) -> Section:
    back = timedelta(days=window_days(edition) - 1)
    return Section(
        id="quality",
        title="Answer quality",
        lead=lead,
        blocks=blocks,
        traces=edition.links.traces(edition.last - back, edition.last),
        width="half",
    )


def _told(metric: str, rate: Rate) -> Prose:
    prose: Prose = [
        name(metric, 40),
        ": ",
        figure(rate.estimate, "ratio"),
        " pass (",
        figure(rate.low, "ratio"),
        " to ",
        figure(rate.high, "ratio"),
        "), from ",
        figure(rate.n, "count"),
        " scored answers",
    ]
    if rate.n_human:
        prose += [" and ", figure(rate.n_human, "count"), " labels by people"]
    prose += ["."]
    if rate.raw is not None and rate.estimate is not None and rate.n_human:
        gap = rate.raw - rate.estimate
        if abs(gap) >= 0.001:
            prose += [
                " The scorer alone says ",
                figure(rate.raw, "ratio"),
                f": too {'lenient' if gap > 0 else 'strict'} by ",
                figure(abs(gap) * 100, "number"),
                " points.",
            ]
    return prose


def _chart(edition: Edition, metric: str) -> LineChart:
    found = windows(edition)
    rates = [found.on(metric, day) for day in edition.history_days]
    series = [Series(name="pass rate", values=numbers(rate.estimate for rate in rates))]
    if any(rate.n_human and rate.raw is not None for rate in rates):
        raw = numbers(rate.raw for rate in rates)
        series.append(Series(name="scorer alone", style="soft", values=raw))
    return LineChart(
        id="quality-by-day",
        title=f"{clean(metric, 40)}: share that passes, {window_days(edition)} days to each",
        unit="ratio",
        days=edition.history_days,
        series=series,
        bands=[
            Band(
                name="95% interval",
                low=numbers(rate.low for rate in rates),
                high=numbers(rate.high for rate in rates),
            )
        ],
        zero=False,
    )


def _metrics(
    edition: Edition, metrics: list[str], table: str = "quality-metrics", title: str = "By metric"
) -> Table:
    found = windows(edition)
    rows = []
    for metric in metrics:
        rate = found.on(metric, edition.last)
        spark = numbers(found.on(metric, day).estimate for day in edition.history_days)
        head = label(metric, 40, href=_scored(edition, metric))
        rows.append([head, *_rate_cells(rate), Cell(text="", spark=spark)])
    columns = [*_rate_columns("Metric"), Column(key="spark", label="Daily")]
    folded = table != "quality-metrics"
    return Table(id=table, title=title, columns=columns, rows=rows, folded=folded)


def _scored(edition: Edition, metric: str) -> str | None:
    """The scores of that name that were written back to Langfuse, if they are."""
    back = timedelta(days=window_days(edition) - 1)
    return edition.links.scores(edition.last - back, edition.last, any_of("name", metric))


def _rate_columns(first: str) -> list[Column]:
    return [
        Column(key=first.lower(), label=first),
        Column(key="estimate", label="Passes", numeric=True, help="share, with its 95% interval"),
        Column(key="n", label="Scored", numeric=True),
        Column(key="n_human", label="Labels", numeric=True, help="given by people"),
        Column(key="method", label="How"),
    ]


def _rate_cells(rate: Rate) -> list[Cell]:
    note: Prose | None = None
    if rate.low is not None:
        note = interval(rate.low, rate.high, "ratio")
    elif rate.raw is not None:
        note = ["scorer alone: ", figure(rate.raw, "ratio")]
    return [
        cell(rate.estimate, "ratio", note=note),
        cell(rate.n, "count"),
        cell(rate.n_human, "count"),
        Cell(text=METHODS.get(rate.method, clean(rate.method, 30))),
    ]


def _slices(edition: Edition, metric: str) -> Table | None:
    """The features with the fewest good answers."""
    found = windows(edition).scopes("feature", metric, edition.last)
    if len(found) < 2:
        return None
    rows = [
        [label(value, 40, href=edition.view("feature", value)), *_rate_cells(rate)]
        for value, rate in found[:6]
    ]
    columns = _rate_columns("Feature")
    return Table(
        id="quality-by-feature",
        title=f"{clean(metric, 40)} by feature, least first",
        columns=columns,
        rows=rows,
    )


def findings(edition: Edition) -> list[Finding]:
    metric = headline(edition)
    if metric is None:
        return []
    good = edition.judge(edition.by_shift(between(edition, metric)), relative=False)
    if not good.real or good.change is None or good.change >= 0:
        return []
    prose: Prose = [
        name(metric, 40),
        " fell to ",
        figure(good.now, "ratio"),
        ", ",
        figure(good.change, "points"),
        " against ",
        compared_with(edition.period.kind),
        ".",
    ]
    return [
        Finding(
            status="watch",
            topic="Quality",
            prose=prose,
            evidence=[Link(text="evidence", href="#quality")],
            weight=-good.change * 100,
        )
    ]


def decisions(edition: Edition) -> list[Decision]:
    """Labels that are missing where a judged metric cannot be trusted without them."""
    if len(edition.marts.projects) > 1:
        return []
    found = windows(edition)
    waiting = [
        (metric, rate)
        for metric in found.metrics(edition.last)
        if (rate := found.on(metric, edition.last)).method == "uncalibrated"
    ]
    return [
        Decision(
            prose=[
                "Label about ",
                figure(max(_LABELS_WANTED - rate.n_human, 1), "count"),
                " answers so that ",
                name(metric, 40),
                " can be calibrated; until then it is the scorer's word alone.",
            ],
            command="llmops label",
        )
        for metric, rate in waiting[:2]
    ]
