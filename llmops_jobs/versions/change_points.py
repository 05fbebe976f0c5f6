"""Lasting changes of daily levels, with the day, the size and what happened then.

For every series the best single split of a trailing window is tested by the maximum of the
standardized differences of means over all splits (a CUSUM-type statistic), with a p-value by
permutation of weekday-adjusted residuals in blocks; the family of a night's series is corrected by
Benjamini-Hochberg. Offline methods need some days after the change: a change is reported from the
third day on and dated to its first day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

WINDOW = 56
AFTER = 3  # days of the new level that are needed
BEFORE = 10  # and of the old one
_PERMUTATIONS = 499
_BLOCK = 3
# The best of forty splits of pure noise is about this far from nought: no need to permute.
_UNREMARKABLE = 3.0


@dataclass(frozen=True)
class Change:
    """`value` and `expected` are the levels after and before, `low`/`high` bound the effect."""

    scope: str
    metric: str
    day: date
    value: float
    expected: float
    effect: float
    low: float
    high: float
    p_value: float


def detect(
    series: Mapping[tuple[str, str], tuple[list[date], np.ndarray]],
    *,
    relative: frozenset[str],
    false_discovery_rate: float,
    seed: int,
) -> list[Change]:
    """Changes among (scope, metric) -> (days, values); NaN is a missing day.

    Metrics in `relative` are compared on the log scale and their effect is a ratio minus one;
    others as they are, in their own unit.
    """
    from statsmodels.stats.multitest import multipletests

    found: list[Change] = []
    for (scope, metric), (days, values) in sorted(series.items()):
        change = _split(scope, metric, days, values, metric in relative, seed)
        if change is not None:
            found.append(change)
    if not found:
        return []
    reject, corrected, _, _ = multipletests(
        [change.p_value for change in found], alpha=false_discovery_rate, method="fdr_bh"
    )
    return [
        Change(**{**change.__dict__, "p_value": float(p)})
        for change, keep, p in zip(found, reject, corrected, strict=True)
        if keep
    ]


def _split(
    scope: str, metric: str, days: list[date], values: np.ndarray, relative: bool, seed: int
) -> Change | None:
    days, values = days[-WINDOW:], np.asarray(values[-WINDOW:], dtype=float)
    usable = np.isfinite(values) & ((values > 0) if relative else True)
    days = [day for day, keep in zip(days, usable, strict=True) if keep]
    y = np.log(values[usable]) if relative else values[usable]
    n = len(y)
    if n < BEFORE + AFTER or np.ptp(y) == 0:
        return None
    residual = y - _weekday_effect(days, y)
    splits = np.arange(BEFORE, n - AFTER + 1)
    statistic = _cusum(residual, splits)
    best = int(splits[np.argmax(statistic)])
    centred = np.concatenate(
        [residual[:best] - residual[:best].mean(), residual[best:] - residual[best:].mean()]
    )
    p_value = 1.0
    if statistic.max() > _UNREMARKABLE:
        rng = np.random.default_rng([seed, n])
        null = _cusum(_block_shuffles(centred, rng), splits).max(axis=1)
        p_value = _tail(float(statistic.max()), null)
    before, after = residual[:best], residual[best:]
    difference = after.mean() - before.mean()
    spread = centred.std(ddof=2)
    half = 1.96 * spread * np.sqrt(1 / len(before) + 1 / len(after))
    scale = np.expm1 if relative else (lambda value: value)
    level = np.exp if relative else (lambda value: value)
    return Change(
        scope=scope,
        metric=metric,
        day=days[best],
        value=float(level(y[best:].mean())),
        expected=float(level(y[:best].mean())),
        effect=float(scale(difference)),
        low=float(scale(difference - half)),
        high=float(scale(difference + half)),
        p_value=p_value,
    )


def _cusum(y: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """|mean after - mean before| at each split, standardized by the pooled spread.

    `y` is one series or a row per series; the splits are the last axis of the result.
    """
    n = y.shape[-1]
    sums, squares = np.cumsum(y, axis=-1), (y**2).sum(axis=-1, keepdims=True)
    before = sums[..., splits - 1] / splits
    after = (sums[..., -1:] - sums[..., splits - 1]) / (n - splits)
    within = squares - splits * before**2 - (n - splits) * after**2
    variance = np.maximum(within / (n - 2), 1e-12)
    result: np.ndarray = np.abs(after - before) / np.sqrt(
        variance * (1 / splits + 1 / (n - splits))
    )
    return result


def _tail(value: float, null: np.ndarray) -> float:
    """P(null >= value): counted where permutations reach, else from a Gumbel law fitted to them.

    A maximum of many correlated statistics is close to Gumbel; counting alone could never say less
    than one in five hundred, which no family of a hundred series can be corrected with.
    """
    counted = (1 + int((null >= value).sum())) / (1 + len(null))
    if counted > 10 / len(null):
        return counted
    scale = null.std() * np.sqrt(6) / np.pi
    location = null.mean() - np.euler_gamma * scale
    return float(min(counted, -np.expm1(-np.exp(-(value - location) / scale))))


def _weekday_effect(days: list[date], y: np.ndarray) -> np.ndarray:
    """The median deviation of each weekday from a centred weekly median; 0 under three weeks."""
    if len(y) < 21:
        return np.zeros(len(y))
    padded = np.pad(y, 3, mode="edge")
    local = np.array([np.median(padded[i : i + 7]) for i in range(len(y))])
    weekday = np.array([day.weekday() for day in days])
    deviation = y - local
    effect = np.array([np.median(deviation[weekday == d]) for d in range(7)])
    result: np.ndarray = (effect - effect.mean())[weekday]
    return result


def _block_shuffles(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A row per permutation: blocks of neighbouring days in random order, which keeps short-range
    dependence."""
    n = len(y)
    blocks = -(-n // _BLOCK)
    order = rng.random((_PERMUTATIONS, blocks)).argsort(axis=1)
    index = (order[:, :, None] * _BLOCK + np.arange(_BLOCK)).reshape(_PERMUTATIONS, -1)
    # The last block may be short: its missing days are dropped wherever it stands.
    kept = index[index < n].reshape(_PERMUTATIONS, n)
    result: np.ndarray = y[kept]
    return result
