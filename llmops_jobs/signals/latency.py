"""How fast: latency, time to first token and tokens per second, of calls and of whole traces.

Of each cell and level the lake's engine computes exact percentiles, which are right for the cell
and day they were computed for, and a histogram, which can be added over any slice and period.
Intervals come from the histograms, as does all that is told of a scope.

| metric | observation | trace |
|---|---|---|
| latency (s) | start to end of a model call | first start to last end of the trace's rows |
| time_to_first_token (s) | as reported | trace's start to the answering call's first token |
| tokens_per_second | output tokens / latency | output tokens of its model calls / latency |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.signals import histogram, sketch
from llmops_jobs.signals.cells import (
    CELL,
    ERROR,
    numbered,
    tails,
    whole_traces,
)
from llmops_jobs.signals.scopes import scopes_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables

METRICS: Final = ("latency", "time_to_first_token", "tokens_per_second")
_MICROSECONDS: Final = 1_000_000.0


@dataclass(frozen=True)
class Latency:
    """Rows of latency_daily, latency_sketch, latency_scope and trace_daily, all with `day`."""

    daily: pd.DataFrame
    sketches: pd.DataFrame
    scopes: pd.DataFrame
    traces: pd.DataFrame


def measure(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], error: float = 0.01
) -> Latency:
    """Percentiles and histograms of each of the days, to the histograms' relative `error`."""
    extra = {"tails": tails(engine, lake, project, days)}
    base = histogram.gamma(error)
    daily, sketches, scopes, traces = [], [], [], pd.DataFrame()
    for level, source in LEVELS.items():
        found = engine.run(_measured(source, error), lake, project, days, extra).sort_by("cell")
        cells = found.select([*CELL, "rows", "failed"]).to_pandas()
        counts = _counts(found)
        daily.append(_of_cell(_exact(found, counts, base), cells).assign(level=level))
        sketches.append(_of_cell(sketch.packed(counts), cells).assign(level=level))
        scopes.append(_scopes(cells, counts, base).assign(level=level))
        if level == "trace":
            traces = cells.rename(columns={"rows": "traces"})
    return Latency(
        daily=pd.concat(daily, ignore_index=True),
        sketches=pd.concat(sketches, ignore_index=True).assign(gamma=base),
        scopes=pd.concat(scopes, ignore_index=True).assign(gamma=base),
        traces=traces,
    )


def calls(t: Tables) -> tuple[ir.Table, ir.Table]:
    """Model calls with their three metrics, by the number of their cell; and the cells."""
    o = t["observations"]
    return numbered(
        o,
        calls_only=True,
        latency=_finite(o.latency_s),
        time_to_first_token=_finite(o.time_to_first_token_s),
        tokens_per_second=_rate(o.output_tokens, o.latency_s),
        failed=o.level == ERROR,
    )


def end_to_end(t: Tables) -> tuple[ir.Table, ir.Table]:
    """Traces with their three metrics, likewise."""
    rows, cells = whole_traces(t)
    rows = rows.mutate(
        latency=_seconds(rows.start, rows.end), first=_seconds(rows.start, rows.first_token)
    )
    return rows.select(
        "cell",
        latency=rows.latency,
        time_to_first_token=rows.first,
        tokens_per_second=_rate(rows.output_tokens, rows.latency),
        failed=(rows.failed > 0) & (rows.ok == 0),
    ), cells


LEVELS: Final = {"observation": calls, "trace": end_to_end}


@cache
def _measured(
    source: Callable[[Tables], tuple[ir.Table, ir.Table]], error: float
) -> Callable[[Tables], ir.Table]:
    """One row a cell: CELL, counts, and of each metric the percentiles (`latency`), their `n`
    (`n_latency`) and the histogram as a list of buckets with their counts (`b_latency`)."""
    base = histogram.gamma(error)

    def definition(t: Tables) -> ir.Table:
        import ibis

        keyed, cells = source(t)
        found = keyed.group_by("cell").agg(
            rows=keyed.count(),
            failed=keyed.failed.sum(),
            **{f"n_{m}": keyed[m].count() for m in METRICS},
            **{m: keyed[m].quantile(list(histogram.PERCENTILES)) for m in METRICS},
        )
        found = found.inner_join(cells, "cell")
        for metric in METRICS:
            present = keyed.filter(keyed[metric].notnull())
            counted = present.group_by(
                "cell", bucket=histogram.bucket_expression(present[metric], base)
            ).agg(n=present.count())
            pair = ibis.struct({"bucket": counted.bucket, "n": counted.n})
            listed = counted.group_by(cell_=counted.cell).agg(**{f"b_{metric}": pair.collect()})
            found = found.left_join(listed, found.cell == listed.cell_).drop("cell_")
        return found

    return definition


def _counts(found: pa.Table) -> sketch.Counts:
    """The histograms of `_measured`; their code is row * len(METRICS) + metric."""
    codes, buckets, numbers = [], [], []
    for place, metric in enumerate(METRICS):
        lists = found[f"b_{metric}"].combine_chunks()
        size = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
        codes.append(np.repeat(np.arange(len(lists)) * len(METRICS) + place, size))
        pairs = lists.flatten()
        buckets.append(pairs.field("bucket").to_numpy())
        numbers.append(pairs.field("n").to_numpy())
    return sketch.Counts.added(*(np.concatenate(each) for each in (codes, buckets, numbers)))


def _exact(found: pa.Table, counts: sketch.Counts, base: float) -> pd.DataFrame:
    """One row per cell and metric that has values: `code`, `n`, percentiles, intervals."""
    rows = counts.quantiles(base)
    cell, metric = np.divmod(rows["code"].to_numpy(), len(METRICS))
    names = [histogram.name_of(level) for level in histogram.PERCENTILES]
    exact = np.empty((len(rows), len(names)))
    for place, name in enumerate(METRICS):
        mine = metric == place
        values = found[name].take(pa.array(cell[mine])).combine_chunks().flatten()
        exact[mine] = values.to_numpy().reshape(-1, len(names))
    return rows.assign(**dict(zip(names, exact.T, strict=True)))


def _scopes(cells: pd.DataFrame, counts: sketch.Counts, base: float) -> pd.DataFrame:
    """One row per day, scope and metric that has values: the histogram, percentiles, intervals."""
    cell, metric = np.divmod(counts.code, len(METRICS))
    day, days = pd.factorize(cells["day"].to_numpy(object), sort=True)
    buckets, rank = np.unique(counts.bucket, return_inverse=True)  # those of zero lie far away
    added: list[sketch.Counts] = []
    told: list[tuple[date, str]] = []
    for places, scope, names in scopes_of(cells):
        number = np.full(len(cells), -1)
        number[places] = day[places] * len(names) + scope
        inside = np.flatnonzero(number[cell] >= 0)
        # After the scopes of other kinds.
        code = (number[cell[inside]] + len(told)) * len(METRICS) + metric[inside]
        added.append(sketch.Counts.added(code, rank[inside], counts.n[inside]))
        told += [(each, name) for each in days for name in names]
    joined = sketch.Counts.joined(added)
    every = replace(joined, bucket=buckets[joined.bucket])
    rows = every.quantiles(base).assign(counts=sketch.packed(every)["counts"])
    place, of = np.divmod(rows["code"].to_numpy(), len(METRICS))
    return rows.drop(columns="code").assign(
        day=[told[each][0] for each in place],
        scope=[told[each][1] for each in place],
        metric=np.array(METRICS, object)[of],
    )


def _of_cell(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Rows by `code` with the dimensions of their cell and the name of their metric instead."""
    cell, metric = np.divmod(rows["code"].to_numpy(), len(METRICS))
    # Objects, not Arrow strings: thousands of rows share the texts of a few.
    return rows.drop(columns="code").assign(
        metric=np.array(METRICS, object)[metric],
        **{name: cells[name].to_numpy(object)[cell] for name in CELL},
    )


def _seconds(start: ir.TimestampValue, end: ir.TimestampValue) -> ir.FloatingValue:
    return end.delta(start, unit="microsecond") / _MICROSECONDS


def _finite(value: ir.FloatingValue) -> ir.FloatingValue:
    return (value.isnan() | value.isinf()).ifelse(None, value)


def _rate(tokens: ir.IntegerValue, seconds: ir.FloatingValue) -> ir.FloatingValue:
    """Tokens a second; null for no tokens and for no time."""
    return _finite(((tokens > 0) & (seconds > 0)).ifelse(tokens / seconds, None))
