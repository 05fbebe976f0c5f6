"""How fast: end-to-end latency by feature, first token and tokens per second by model."""

from __future__ import annotations

from datetime import timedelta

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import (
    Band,
    Block,
    Cell,
    Column,
    LineChart,
    Multiples,
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
    )


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
    latency, first, rate = (
        edition.marts.histogram("observation", metric, "model")
        for metric in ("latency", "time_to_first_token", "tokens_per_second")
    )
    window = (edition.first, edition.last)
    counts = {value: int(latency.counts(value, *window).sum()) for value in latency.values()}
    ranked = sorted((value for value in counts if counts[value]), key=lambda v: (-counts[v], v))
    rows = []
    for value in ranked[: edition.settings.rows]:
        n, (p50, p95, p99) = latency.quantiles(value, *window, QUANTILES)
        _, (first50, first95) = first.quantiles(value, *window, (0.5, 0.95))
        _, (rate50,) = rate.quantiles(value, *window, (0.5,))
        day = edition.last
        spark = [
            latency.quantiles(
                value, day - timedelta(days=back), day - timedelta(days=back), (0.95,)
            )[1][0]
            for back in range(len(edition.history_days) - 1, -1, -1)
        ]
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
