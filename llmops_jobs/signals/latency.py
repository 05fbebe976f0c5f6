"""How fast: latency, time to first token and tokens per second, of calls and of whole traces.

Two aggregates a day and level, both run by the lake's engine: exact percentiles, which are right
for the cell and day they were computed for, and histograms, which can be added over any slice and
period. Intervals come from the histograms.

| metric | observation | trace |
|---|---|---|
| latency (s) | start to end of a model call | first start to last end of the trace's rows |
| time_to_first_token (s) | as reported | trace's start to the answering call's first token |
| tokens_per_second | output tokens / latency | output tokens of its model calls / latency |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Final

import pandas as pd
import pyarrow as pa

from llmops_jobs.signals import histogram
from llmops_jobs.signals.cells import (
    CELL,
    ERROR,
    model_calls,
    stacked,
    tails,
    unstacked,
    whole_traces,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables

METRICS: Final = ("latency", "time_to_first_token", "tokens_per_second")
_MICROSECONDS: Final = 1_000_000.0


@dataclass(frozen=True)
class Latency:
    """Rows of latency_daily, latency_histogram and trace_daily, all with `day`."""

    daily: pd.DataFrame
    buckets: pd.DataFrame
    traces: pd.DataFrame


def measure(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], error: float = 0.01
) -> Latency:
    """Percentiles and histograms of each of the days, to the histograms' relative `error`."""
    extra = {"tails": tails(engine, lake, project, days)}
    daily, buckets, cells = [], [], {}
    for level, source in LEVELS.items():
        found = engine.run(_measured(source, error), lake, project, days, extra)
        exact, counts, cells[level] = _split(found, histogram.gamma(error))
        daily.append(exact.assign(level=level))
        buckets.append(counts.assign(level=level))
    return Latency(
        daily=pd.concat(daily, ignore_index=True),
        buckets=pd.concat(buckets, ignore_index=True),
        traces=cells["trace"].rename(columns={"rows": "traces"}),
    )


def calls(t: Tables) -> ir.Table:
    """Model calls with their three metrics."""
    o = model_calls(t)
    return o.select(
        *CELL,
        latency=_finite(o.latency_s),
        time_to_first_token=_finite(o.time_to_first_token_s),
        tokens_per_second=_rate(o.output_tokens, o.latency_s),
        failed=o.level == ERROR,
    )


def end_to_end(t: Tables) -> ir.Table:
    """Traces with their three metrics."""
    rows = whole_traces(
        t,
        output_tokens=lambda o: o.output_tokens.sum(where=o.is_model_call),
        good=lambda o: (o.is_model_call & (o.level != ERROR)).any(),
        bad=lambda o: (o.is_model_call & (o.level == ERROR)).any(),
    )
    rows = rows.mutate(
        latency=_seconds(rows.start, rows.end), first=_seconds(rows.start, rows.first_token)
    )
    return rows.select(
        *CELL,
        latency=rows.latency,
        time_to_first_token=rows.first,
        tokens_per_second=_rate(rows.output_tokens, rows.latency),
        failed=rows.bad & ~rows.good,
    )


LEVELS: Final = {"observation": calls, "trace": end_to_end}


@cache
def _measured(source: Callable[[Tables], ir.Table], error: float) -> Callable[[Tables], ir.Table]:
    """`exact`: per cell, counts and percentiles; `buckets`: per cell, metric and bucket, a count.

    Buckets by the number of the cell, because grouping by nine texts costs twice as much.
    """
    base = histogram.gamma(error)

    def definition(t: Tables) -> ir.Table:
        import ibis

        rows = source(t)
        cells = rows.select(*CELL).distinct()
        cells = cells.mutate(cell=ibis.row_number().over(order_by=[cells[n] for n in CELL]))
        keyed = rows.inner_join(cells, list(CELL)).select("cell", "failed", *METRICS)
        exact = keyed.group_by("cell").agg(
            rows=keyed.count(),
            failed=keyed.failed.sum(),
            **{f"n_{m}": keyed[m].count() for m in METRICS},
            **{m: keyed[m].quantile(list(histogram.PERCENTILES)) for m in METRICS},
        )
        buckets = []
        for metric in METRICS:
            present = keyed.filter(keyed[metric].notnull())
            counted = present.group_by(
                "cell", bucket=histogram.bucket_expression(present[metric], base)
            ).agg(n=present.count())
            buckets.append(counted.mutate(metric=ibis.literal(metric)))
        return stacked(
            exact=exact.inner_join(cells, "cell"), buckets=ibis.union(*buckets, distinct=False)
        )

    return definition


def _split(found: pa.Table, base: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Percentiles and buckets of `_measured`, one row a metric, and rows and failures a cell."""
    columns = ["rows", "failed", *METRICS, *(f"n_{metric}" for metric in METRICS)]
    exact = unstacked(found, "exact", "cell", *CELL, *columns).to_pandas()
    exact = exact.sort_values("cell", ignore_index=True)
    buckets = unstacked(found, "buckets", "cell", "metric", "bucket", "n").to_pandas()
    buckets = buckets.assign(gamma=base).sort_values(["cell", "metric", "bucket"])
    around = histogram.quantiles(buckets, by=["cell", "metric"])
    ends = [c for c in around.columns if c.endswith(("_low", "_high"))]
    daily = _long(exact).merge(around[["cell", "metric", *ends]], on=["cell", "metric"])
    # Objects, not Arrow strings: half a million rows share the texts of a thousand cells.
    place = exact["cell"].searchsorted(buckets["cell"])
    dimensions = {
        name: pd.Series(exact[name].to_numpy(object)[place], index=buckets.index, dtype=object)
        for name in CELL
    }
    return (
        daily.drop(columns="cell"),
        buckets.drop(columns="cell").assign(**dimensions),
        exact[[*CELL, "rows", "failed"]],
    )


def _long(exact: pd.DataFrame) -> pd.DataFrame:
    """One row per cell and metric that has values."""
    parts = []
    for metric in METRICS:
        part = exact.loc[exact[f"n_{metric}"] > 0, ["cell", *CELL, f"n_{metric}", metric]]
        values = pd.DataFrame(
            part[metric].tolist(), columns=["p50", "p90", "p95", "p99"], index=part.index
        )
        part = part.drop(columns=metric).rename(columns={f"n_{metric}": "n"})
        parts.append(part.assign(metric=metric).join(values))
    return pd.concat(parts, ignore_index=True)


def _seconds(start: ir.TimestampValue, end: ir.TimestampValue) -> ir.FloatingValue:
    return end.delta(start, unit="microsecond") / _MICROSECONDS


def _finite(value: ir.FloatingValue) -> ir.FloatingValue:
    return (value.isnan() | value.isinf()).ifelse(None, value)


def _rate(tokens: ir.IntegerValue, seconds: ir.FloatingValue) -> ir.FloatingValue:
    """Tokens a second; null for no tokens and for no time."""
    return _finite(((tokens > 0) & (seconds > 0)).ifelse(tokens / seconds, None))
