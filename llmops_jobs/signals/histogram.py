"""Mergeable histograms of latencies: any slice and period, right to a stated relative error.

The mapping is DDSketch's (Masson, Rim & Lee 2019): a value x > 0 falls into bucket
ceil(log_gamma x) with gamma = (1 + a) / (1 - a); the middle of a bucket is within the relative
error `a` of all its values. Counts of a plain GROUP BY merge by adding. Zero and negative values
get buckets of their own, numbered so that the order of buckets is the order of values.

A histogram here is a data frame with the columns `bucket`, `n`, `gamma` and any others to group
by: rows of the view `latency_histogram`, as they are or added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmops_jobs.signals import intervals

if TYPE_CHECKING:
    import ibis.expr.types as ir

PERCENTILES: Final = (0.5, 0.9, 0.95, 0.99)

# Positive doubles lie in buckets -1,100 to 36,000 at 1 %, and within a million down to 0.07 %.
ZERO: Final = -1_000_000
_MIRROR: Final = -3_000_000
# Below a picosecond a duration is zero.
SMALLEST: Final = 1e-12


def gamma(error: float) -> float:
    """The base of the mapping for a relative error, as 0.01."""
    return (1 + error) / (1 - error)


def bucket(values: ArrayLike, base: float) -> NDArray[np.int64]:
    """The bucket of each (finite) value."""
    x = np.asarray(values, float)
    size = np.abs(x)
    tiny = size < SMALLEST
    index = np.ceil(np.log(np.where(tiny, 1.0, size)) / np.log(base)).astype(np.int64)
    return np.where(tiny, ZERO, np.where(x > 0, index, _MIRROR - index))


def bucket_expression(value: ir.FloatingValue, base: float) -> ir.IntegerValue:
    """`bucket` as an Ibis expression; null where the value is null."""
    import ibis

    size = value.abs()
    index = (size.ln() / float(np.log(base))).ceil().cast("int64")
    return ibis.cases(
        (size < SMALLEST, ibis.literal(ZERO, "int64")),
        (value > 0, index),
        else_=_MIRROR - index,
    )


def middle(buckets: ArrayLike, base: ArrayLike) -> NDArray[np.float64]:
    """The value that stands for a bucket: within the relative error of all values in it."""
    return _edge(buckets, base, lambda b: 2 / (b + 1))


def bounds(buckets: ArrayLike, base: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest value of each bucket."""
    inner = _edge(buckets, base, lambda b: 1 / b)
    outer = _edge(buckets, base, np.ones_like)
    return np.minimum(inner, outer), np.maximum(inner, outer)


def quantile(histogram: pd.DataFrame, q: float) -> float:
    """The q-quantile of all rows together, with linear interpolation between ranks (numpy's and
    SQL's `quantile_cont`); NaN when empty."""
    if histogram.empty:
        return float("nan")
    return float(quantiles(histogram, [q])[name_of(q)].iloc[0])


def interval(histogram: pd.DataFrame, q: float, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the q-quantile of all rows together; NaN on a side that they cannot bound."""
    if histogram.empty:
        return float("nan"), float("nan")
    row = quantiles(histogram, [q], confidence=confidence).iloc[0]
    return float(row[f"{name_of(q)}_low"]), float(row[f"{name_of(q)}_high"])


def quantiles(
    histogram: pd.DataFrame,
    q: Sequence[float] = PERCENTILES,
    by: Sequence[str] = (),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Quantiles of each group with their intervals.

    Columns: `by`, `n`, and for each q `p50`, `p50_low`, `p50_high` and so on. The interval is the
    one between order statistics, widened to the edges of their buckets; NaN on a side that n
    values cannot bound.
    """
    rows = merge(histogram, by)
    group = rows.groupby(list(by), sort=False).ngroup() if by else pd.Series(0, rows.index)
    order = np.lexsort((middle(rows["bucket"], rows["gamma"]), group))
    rows = rows.assign(code=group).iloc[order]
    code, bucket, n, base = (rows[name].to_numpy() for name in ("code", "bucket", "n", "gamma"))
    found = of_sorted(code, bucket, n, base, q, confidence)
    groups = rows[list(by)][np.diff(code, prepend=-1) != 0]
    return pd.concat([groups.reset_index(drop=True), found.drop(columns="code")], axis=1)


def of_sorted(
    code: NDArray[np.int64],
    bucket: NDArray[np.int64],
    count: NDArray[np.int64],
    base: ArrayLike,
    q: Sequence[float] = PERCENTILES,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """`quantiles` by `code`, of counts that are ordered by code and value and have no two rows of
    the same bucket."""
    base = np.broadcast_to(np.asarray(base, float), code.shape)
    below = np.concatenate([[0], np.cumsum(count)])
    first = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]])[: len(code)])
    offset, n = below[first], np.diff(np.append(below[first], below[-1]))

    def at(rank: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Bucket and base of the rank-th value (from 0) of each group."""
        place = np.searchsorted(below, offset + np.clip(rank, 0, n - 1), side="right") - 1
        return bucket[place], base[place]

    columns = {"code": code[first], "n": n}
    for level in q:
        exact = level * (n - 1)
        lower = np.floor(exact).astype(np.int64)
        a, b = middle(*at(lower)), middle(*at(lower + 1))
        rank_low, rank_high = intervals.quantile_ranks(n, level, confidence)
        name = name_of(level)
        with np.errstate(invalid="ignore"):
            columns[name] = np.where(exact == lower, a, a + (exact - lower) * (b - a))
        columns[f"{name}_low"] = np.where(rank_low > 0, bounds(*at(rank_low - 1))[0], np.nan)
        columns[f"{name}_high"] = np.where(rank_high <= n, bounds(*at(rank_high - 1))[1], np.nan)
    return pd.DataFrame(columns)


def merge(histogram: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Histograms of finer cells or several days added up to the groups of `by`."""
    keys = [*by, "gamma", "bucket"]
    return histogram.groupby(keys, as_index=False, sort=True, dropna=False)["n"].sum()


def share_at_most(histogram: pd.DataFrame, threshold: float) -> float:
    """The share of values <= threshold (an SLO's attainment), to the error of one bucket."""
    if histogram.empty:
        return float("nan")
    value = middle(histogram["bucket"], histogram["gamma"])
    count = histogram["n"].to_numpy(float)
    return float(count[value <= threshold].sum() / count.sum())


def _edge(buckets: ArrayLike, base: ArrayLike, factor: object) -> NDArray[np.float64]:
    index, b = np.broadcast_arrays(np.asarray(buckets, np.int64), np.asarray(base, float))
    negative = index < ZERO
    power = np.where(negative, _MIRROR - index, np.where(index == ZERO, 0, index))
    # In logarithms, so that the edge buckets of the doubles neither overflow nor vanish.
    with np.errstate(over="ignore", under="ignore"):
        size = np.exp(np.minimum(power * np.log(b) + np.log(factor(b)), _LOG_MAX))  # type: ignore[operator]
    return np.where(index == ZERO, 0.0, np.where(negative, -size, size))


_LOG_MAX: Final = float(np.log(np.finfo(float).max))


def name_of(q: float) -> str:
    """The column of the q-quantile: p50 for 0.5, p99_9 for 0.999."""
    return "p" + f"{q * 100:.6g}".replace(".", "_")
