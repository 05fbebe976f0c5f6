"""How fast: end-to-end latency by feature, first token and tokens per second by model."""

from __future__ import annotations

from datetime import date

import numpy as np

from llmops_jobs.report.edition import Edition, compared_with
from llmops_jobs.report.links import at_least, of_trace
from llmops_jobs.report.model import (
    Band,
    Block,
    Cell,
    Column,
    Finding,
    LineChart,
    Link,
    Multiples,
    Prose,
    Section,
    Series,
    Table,
    Text,
    cell,
    figure,
    label,
    numbers,
)
from llmops_jobs.report.words import clean

QUANTILES = (0.5, 0.95, 0.99)
_CHARTS = 6
_MATERIAL = 0.10


def section(edition: Edition) -> Section:
    blocks: list[Block] = []
    features = _busiest(edition)
    if features:
        charts = [_chart(edition, place, value) for place, value in enumerate(features)]
        blocks.append(
            Multiples(
                id="latency-by-feature",
                title="Latency by feature: p50, p95 and p99",
                charts=charts,
            )
        )
    table = _by_model(edition)
    if table is not None:
        blocks.append(table)
    if not blocks:
        blocks = [Text(prose=["No latency was measured in this period."])]
    return Section(
        id="latency",
        title="Latency",
        lead=[
            "Whole traces, from first start to last end, on one shared logarithmic scale; the "
            "band spans "
            "p50 to p95. Percentiles are of merged histograms, right to about ",
            figure(0.01, "share"),
            ".",
        ]
        if blocks and features
        else [],
        blocks=blocks,
        traces=edition.traces(),
    )


def latency(
    edition: Edition, first: date, last: date, at: tuple[float, ...]
) -> tuple[int, list[float | None]]:
    """Quantiles of whole traces; those of model calls where no trace was measured."""
    for level in ("trace", "observation"):
        histogram = edition.marts.histogram(level, "latency", "feature")
        if histogram.known:
            return histogram.quantiles(None, first, last, at)
    return 0, [None] * len(at)


def p95s(edition: Edition) -> np.ndarray:
    """The p95 of the period's window by shift, seconds."""
    return edition.by_shift(lambda first, last: latency(edition, first, last, (0.95,))[1][0])


def findings(edition: Edition) -> list[Finding]:
    slow = edition.judge(p95s(edition), relative=True)
    if not slow.real or slow.change is None or slow.change < _MATERIAL:
        return []
    prose: Prose = [
        "The slowest in twenty traces took ",
        figure(slow.now, "seconds"),
        " or longer, ",
        figure(slow.change, "relative"),
        " against ",
        compared_with(edition.period.kind),
        ".",
    ]
    evidence = [Link(text="evidence", href="#latency")]
    if traces := edition.traces(at_least("latency", slow.now or 0.0)):
        evidence.append(Link(text="traces", href=traces))
    return [
        Finding(
            status="watch",
            topic="Latency",
            prose=prose,
            evidence=evidence,
            weight=slow.change * 10,
        )
    ]


def _busiest(edition: Edition) -> list[str]:
    histogram = edition.marts.histogram("trace", "latency", "feature")
    counts = {
        value: int(histogram.counts(value, edition.first, edition.last).sum())
        for value in histogram.values()
    }
    ranked = sorted((value for value in counts if counts[value]), key=lambda v: (-counts[v], v))
    return ranked[:_CHARTS]


def _chart(edition: Edition, place: int, feature: str) -> LineChart:
    histogram = edition.marts.histogram("trace", "latency", "feature")
    by_day = [histogram.quantiles(feature, day, day, QUANTILES)[1] for day in edition.history_days]
    p50, p95, p99 = (numbers(values) for values in zip(*by_day, strict=True))
    return LineChart(
        id=f"latency-{place}",
        title=clean(feature, 40),
        unit="seconds",
        days=edition.history_days,
        traces=edition.traces(*of_trace("feature", feature)),
        series=[
            Series(name="p99", style="dash", values=p99),
            Series(name="p95", values=p95),
            Series(name="p50", style="soft", values=p50),
        ],
        bands=[Band(name="p50 to p95", low=p50, high=p95)],
        zero=False,
        log=True,
    )


def _by_model(edition: Edition) -> Table | None:
    calls, first, rate = (
        edition.marts.histogram("observation", metric, "model")
        for metric in ("latency", "time_to_first_token", "tokens_per_second")
    )
    window = (edition.first, edition.last)
    counts = {value: int(calls.counts(value, *window).sum()) for value in calls.values()}
    ranked = sorted((value for value in counts if counts[value]), key=lambda v: (-counts[v], v))
    rows = []
    for value in ranked[: edition.settings.rows]:
        n, (p50, p95, p99) = calls.quantiles(value, *window, QUANTILES)
        _, (first50, first95) = first.quantiles(value, *window, (0.5, 0.95))
        _, (rate50,) = rate.quantiles(value, *window, (0.5,))
        spark = [calls.quantiles(value, day, day, (0.95,))[1][0] for day in edition.history_days]
        rows.append(
            [
                label(value, href=edition.view("model", value)),
                cell(n, "count"),
                cell(p50, "seconds"),
                cell(p95, "seconds"),
                cell(p99, "seconds"),
                cell(first50, "seconds"),
                cell(first95, "seconds"),
                cell(rate50, "per_second"),
                Cell(text="", spark=numbers(spark)),
            ]
        )
    if not rows:
        return None
    columns = [
        Column(key="model", label="Model"),
        Column(key="n", label="Calls", numeric=True),
        Column(key="p50", label="p50", numeric=True),
        Column(key="p95", label="p95", numeric=True),
        Column(key="p99", label="p99", numeric=True),
        Column(key="first_token_p50", label="First token p50", numeric=True),
        Column(key="first_token_p95", label="First token p95", numeric=True),
        Column(key="tokens_per_second", label="Tokens/s p50", numeric=True),
        Column(key="spark", label="p95, daily"),
    ]
    return Table(id="latency-by-model", title="Model calls, by model", columns=columns, rows=rows)
