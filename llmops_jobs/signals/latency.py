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

from llmops_jobs.signals import histogram
from llmops_jobs.signals.cells import CELL, model_calls, tails, whole_traces

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables

METRICS: Final = ("latency", "time_to_first_token", "tokens_per_second")
_MICROSECONDS: Final = 1_000_000.0


@dataclass(frozen=True)
class Latency:
    """`daily`: rows of latency_daily; `buckets`: rows of latency_histogram. Both with `day`."""

    daily: pd.DataFrame
    buckets: pd.DataFrame


def measure(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], error: float = 0.01
) -> Latency:
    """Percentiles and histograms of each of the days, to the histograms' relative `error`."""
    extra = {"tails": tails(engine, lake, project, days)}
    daily, buckets = [], []
    for level, source in LEVELS.items():
        exact = engine.run(_percentiles(source), lake, project, days, extra).to_pandas()
        counts = engine.run(_buckets(source, error), lake, project, days, extra).to_pandas()
        daily.append(_long(exact).assign(level=level))
        buckets.append(counts.assign(level=level))
    rows = pd.concat(buckets, ignore_index=True).assign(gamma=histogram.gamma(error))
    return Latency(_with_intervals(pd.concat(daily, ignore_index=True), rows), rows)


def calls(t: Tables) -> ir.Table:
    """Model calls with their three metrics."""
    o = model_calls(t)
    return o.select(
        *CELL,
        latency=_finite(o.latency_s),
        time_to_first_token=_finite(o.time_to_first_token_s),
        tokens_per_second=_rate(o.output_tokens, o.latency_s),
    )


def end_to_end(t: Tables) -> ir.Table:
    """Traces with their three metrics."""
    rows = whole_traces(t, output_tokens=lambda o: o.output_tokens.sum(where=o.is_model_call))
    rows = rows.mutate(
        latency=_seconds(rows.start, rows.end), first=_seconds(rows.start, rows.first_token)
    )
    return rows.select(
        *CELL,
        latency=rows.latency,
        time_to_first_token=rows.first,
        tokens_per_second=_rate(rows.output_tokens, rows.latency),
    )


LEVELS: Final = {"observation": calls, "trace": end_to_end}


@cache
def _percentiles(source: Callable[[Tables], ir.Table]) -> Callable[[Tables], ir.Table]:
    def definition(t: Tables) -> ir.Table:
        rows = source(t)
        return rows.group_by(list(CELL)).agg(
            **{f"n_{m}": rows[m].count() for m in METRICS},
            **{m: rows[m].quantile(list(histogram.PERCENTILES)) for m in METRICS},
        )

    return definition


@cache
def _buckets(source: Callable[[Tables], ir.Table], error: float) -> Callable[[Tables], ir.Table]:
    base = histogram.gamma(error)

    def definition(t: Tables) -> ir.Table:
        import ibis

        rows = source(t)
        long = ibis.union(
            *(
                rows.filter(rows[m].notnull()).select(
                    *CELL,
                    metric=ibis.literal(m),
                    bucket=histogram.bucket_expression(rows[m], base),
                )
                for m in METRICS
            ),
            distinct=False,
        )
        return long.group_by([*CELL, "metric", "bucket"]).agg(n=long.count())

    return definition


def _long(exact: pd.DataFrame) -> pd.DataFrame:
    """One row per cell and metric."""
    parts = []
    for metric in METRICS:
        part = exact.loc[exact[f"n_{metric}"] > 0, [*CELL, f"n_{metric}", metric]]
        values = pd.DataFrame(
            part[metric].tolist(), columns=["p50", "p90", "p95", "p99"], index=part.index
        )
        part = part.drop(columns=metric).rename(columns={f"n_{metric}": "n"})
        parts.append(part.assign(metric=metric).join(values))
    return pd.concat(parts, ignore_index=True)


def _with_intervals(daily: pd.DataFrame, buckets: pd.DataFrame) -> pd.DataFrame:
    cell = [*CELL, "level", "metric"]
    around = histogram.quantiles(buckets, by=cell)
    ends = [c for c in around.columns if c.endswith(("_low", "_high"))]
    return daily.merge(around[[*cell, *ends]], on=cell, how="left", validate="one_to_one")


def _seconds(start: ir.TimestampValue, end: ir.TimestampValue) -> ir.FloatingValue:
    return end.delta(start, unit="microsecond") / _MICROSECONDS


def _finite(value: ir.FloatingValue) -> ir.FloatingValue:
    return (value.isnan() | value.isinf()).ifelse(None, value)


def _rate(tokens: ir.IntegerValue, seconds: ir.FloatingValue) -> ir.FloatingValue:
    """Tokens a second; null for no tokens and for no time."""
    return _finite(((tokens > 0) & (seconds > 0)).ifelse(tokens / seconds, None))
