"""Lasting changes of daily levels: on which day, by how much, and how surely.

For every series the best single split of a trailing window is found by the standardized difference
of the two means (a CUSUM-type statistic). Its p-value is that of Student's t, Bonferroni-corrected
for the number of splits, with the error made honest in two ways: neighbouring days resemble each
other (the error grows with their correlation), and a rate of few calls is uncertain however steady
it looked (its p-value is at least that of Fisher's exact test on the counts). The family of a
night's series is corrected by Benjamini-Hochberg. Offline methods need some days after the change:
a change is reported from the third day on and dated to its first day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from llmops_jobs.forecast.change import Change, standing

WINDOW = 56
AFTER = 3  # days of the new level that are needed
BEFORE = 10  # and of the old one
_WEEKDAYS_FROM = 21  # days from which weekdays have an effect of their own
_DOUBTED = 0.5  # p-values above this are not worth a second look


@dataclass(frozen=True)
class Panel:
    """Daily levels of many series over the same days, a column each; NaN is a missing day.

    `keys` are (scope, metric). `relative` series are compared on the log scale. `trials` holds how
    many calls a rate of the day is of, NaN for what is no rate.
    """

    days: list[date]
    keys: list[tuple[str, str]]
    values: np.ndarray
    trials: np.ndarray
    relative: np.ndarray


def detect(panel: Panel, false_discovery_rate: float) -> list[Change]:
    """The changes that stand after correction for the number of series, by scope and metric.

    The effect of a relative series is a ratio minus one, that of others in their own unit.
    """
    found = [change for part in _parts(panel) for change in _splits(*part)]
    stand = standing(found, false_discovery_rate)
    return sorted(stand, key=lambda change: (change.scope, change.metric))


def _parts(panel: Panel) -> Iterator[tuple[Panel, np.ndarray]]:
    """The series by the days on which they have a level, with the values to compare."""
    values = panel.values[-WINDOW:]
    usable = np.isfinite(values) & ((values > 0) | ~panel.relative)
    packed = np.packbits(usable, axis=0)
    _, group = np.unique(packed, axis=1, return_inverse=True)
    for number in range(group.max(initial=-1) + 1):
        columns = np.flatnonzero(group == number)
        rows = np.flatnonzero(usable[:, columns[0]])
        if len(rows) < BEFORE + AFTER:
            continue
        cut = values[np.ix_(rows, columns)]
        moving = np.ptp(cut, axis=0) > 0
        columns, cut = columns[moving], cut[:, moving]
        if not len(columns):
            continue
        part = Panel(
            days=[panel.days[-WINDOW:][row] for row in rows],
            keys=[panel.keys[column] for column in columns],
            values=cut,
            trials=panel.trials[-WINDOW:][np.ix_(rows, columns)],
            relative=panel.relative[columns],
        )
        yield part, np.log(cut, out=cut.copy(), where=part.relative[None, :]).T


def _splits(part: Panel, y: np.ndarray) -> Iterator[Change]:
    """The best split of each row of `y`."""
    from scipy.special import stdtr, stdtrit

    n = y.shape[1]
    weekly = n >= _WEEKDAYS_FROM
    residual = y - _weekday_effect(part.days, y) if weekly else y
    splits = np.arange(BEFORE, n)
    freedom = n - 2 - (6 if weekly else 0)
    difference, error = _contrasts(residual, splits, freedom)
    error = np.maximum(error, _sampling_error(part, splits))
    series = np.arange(len(y))
    best = np.argmax(np.abs(difference) / error, axis=1)
    shift, spread = difference[series, best], error[series, best]
    inflation = _inflation(residual, splits[best])
    spread = spread * inflation
    freedom = np.maximum(freedom / inflation**2, 2.0)
    p_values = np.minimum(1.0, 2 * stdtr(freedom, -np.abs(shift) / spread) * len(splits))
    for rate in np.flatnonzero((p_values < _DOUBTED) & np.isfinite(part.trials[0])):
        exact = _exact_tail(part.values[:, rate], part.trials[:, rate], int(splits[best[rate]]))
        p_values[rate] = min(1.0, max(p_values[rate], exact * len(splits)))
    # What began a day or two ago cannot be told from a bad day yet: tomorrow will say.
    settled = splits[best] <= n - AFTER
    half = stdtrit(freedom, 0.975) * spread
    for at, (scope, metric) in enumerate(part.keys):
        split = int(splits[best[at]])
        ends = shift[at] + np.array([0.0, -half[at], half[at]])
        levels = np.array([y[at, split:].mean(), y[at, :split].mean()])
        if part.relative[at]:
            ends, levels = np.expm1(ends), np.exp(levels)
        yield Change(
            scope=scope,
            metric=metric,
            day=part.days[split],
            value=float(levels[0]),
            expected=float(levels[1]),
            effect=float(ends[0]),
            low=float(ends[1]),
            high=float(ends[2]),
            p_value=float(p_values[at]) if settled[at] else 1.0,
        )


def _contrasts(y: np.ndarray, splits: np.ndarray, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean after minus mean before at each split and its standard error, a row per series."""
    n = y.shape[1]
    sums, squares = np.cumsum(y, axis=1), (y**2).sum(axis=1, keepdims=True)
    before = sums[:, splits - 1] / splits
    after = (sums[:, -1:] - sums[:, splits - 1]) / (n - splits)
    within = squares - splits * before**2 - (n - splits) * after**2
    variance = np.maximum(within / freedom, 1e-12)
    return after - before, np.sqrt(variance * (1 / splits + 1 / (n - splits)))


def _sampling_error(part: Panel, splits: np.ndarray) -> np.ndarray:
    """What the difference of two binomial rates would vary by alone; 0 for what is no rate."""
    trials = part.trials.T
    n = trials.shape[1]
    passed = (part.values.T * trials).sum(axis=1, keepdims=True)
    rate = (passed + 1) / (trials.sum(axis=1, keepdims=True) + 2)
    daily = np.nan_to_num(rate * (1 - rate) / np.maximum(trials, 1))
    sums = np.cumsum(daily, axis=1)
    before = sums[:, splits - 1] / splits**2
    after = (sums[:, -1:] - sums[:, splits - 1]) / (n - splits) ** 2
    result: np.ndarray = np.sqrt(before + after)
    return result


def _exact_tail(rate: np.ndarray, trials: np.ndarray, split: int) -> float:
    """Twice Fisher's one-sided p-value of the counts before and after a split."""
    from scipy.stats import hypergeom

    passed = np.rint(rate * trials)
    after = passed[split:].sum()
    law = (trials.sum(), passed.sum(), trials[split:].sum())
    return float(2 * min(hypergeom.cdf(after, *law), hypergeom.sf(after - 1, *law)))


def _inflation(y: np.ndarray, split: np.ndarray) -> np.ndarray:
    """The factor on the error of a mean of days whose neighbours are correlated.

    The correlation is that of the days around their own levels, with its bias in short series
    taken back (Kendall 1954), and never below nought.
    """
    n = y.shape[1]
    after = np.arange(n) >= split[:, None]
    centred = y - np.where(
        after,
        ((y * after).sum(axis=1) / after.sum(axis=1))[:, None],
        ((y * ~after).sum(axis=1) / (~after).sum(axis=1))[:, None],
    )
    power = (centred**2).sum(axis=1)
    lagged = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    r = np.divide(lagged, power, out=np.zeros(len(y)), where=power > 0)
    r = np.clip(r + (1 + 4 * r) / n, 0, 0.8)
    result: np.ndarray = np.sqrt((1 + r) / (1 - r))
    return result


def _weekday_effect(days: list[date], y: np.ndarray) -> np.ndarray:
    """The median deviation of each weekday from a centred weekly median, a row per series."""
    padded = np.pad(y, ((0, 0), (3, 3)), mode="edge")
    local = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7, axis=1), axis=-1)
    weekday = np.array([day.weekday() for day in days])
    effect = np.zeros((len(y), 7))
    for d in np.unique(weekday):
        effect[:, d] = np.median((y - local)[:, weekday == d], axis=1)
    effect -= effect.mean(axis=1, keepdims=True)
    result: np.ndarray = effect[:, weekday]
    return result
