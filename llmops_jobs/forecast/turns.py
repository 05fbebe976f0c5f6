"""Where daily spend turned: a new level or a new trend, since which day, and how surely.

On the log scale a series is a line with weekdays. Each day of the window is tried as the first of
a step (a new level) and of a bend (a new trend): the change is the least-squares coefficient of
that regressor beside the line, its p-value Student's t, with the error made honest by how alike
neighbouring residuals are, and Bonferroni-corrected for all days tried. Over the series of a night
the false discovery rate is held (Benjamini & Hochberg 1995). A level is told from its fourth day
on, a trend from its second week.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.change import Change, standing

Floats = NDArray[np.float64]

WINDOW = 56  # days looked back on
GROWTH = "_growth"  # ends the metric of a change of trend
_WEEK = 7
_FEWEST = 28  # days with an amount, below which no line is drawn
_BEFORE = 14  # days of the old course that are needed
_LEVEL_AFTER, _TREND_AFTER = 4, 10  # and of the new one
_LEAST_LEVEL, _LEAST_GROWTH = 0.2, 0.05  # log of a ratio; log of a ratio a week: less is no news
_MOST_CORRELATED, _MOST_LASTING = 0.95, 0.9


def detect(
    days: Sequence[date], keys: Sequence[tuple[str, str]], amounts: Floats, rate: float
) -> list[Change]:
    """The turns that stand among `(days, series)` daily amounts; NaN is a day that is not known.

    Of a level, `expected` and `value` are the amounts a day before and after, `effect` their ratio
    minus one. Of a trend (metric ends in `_growth`): the growth a week before and after, and their
    difference.

    `keys` are (scope, metric); `rate` is the false discovery rate. Nothing after the last day is
    seen. Days without an amount have no logarithm and are passed over; a series with few others
    has no course.
    """
    found = [turn for part in _parts(amounts[-WINDOW:]) for turn in _turns(days, keys, *part)]
    return [turn for turn in standing(found, rate) if abs(np.log1p(turn.effect)) >= _least(turn)]


def _least(turn: Change) -> float:
    return _LEAST_GROWTH if turn.metric.endswith(GROWTH) else _LEAST_LEVEL


def _parts(amounts: Floats) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """(rows, columns, logarithms) of the series that are known on the same days."""
    usable = np.nan_to_num(amounts) > 0
    _, group = np.unique(np.packbits(usable, axis=0), axis=1, return_inverse=True)
    for number in range(group.max(initial=-1) + 1):
        columns = np.flatnonzero(group == number)
        rows = np.flatnonzero(usable[:, columns[0]])
        if len(rows) >= _FEWEST:
            log = np.log(amounts[np.ix_(rows, columns)])
            moving = np.ptp(log, axis=0) > 0
            yield rows, columns[moving], log[:, moving]


def _turns(
    days: Sequence[date],
    keys: Sequence[tuple[str, str]],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    log: Floats,
) -> Iterator[Change]:
    """The clearest turn of each series."""
    from scipy.special import stdtr, stdtrit

    days = days[-WINDOW:]
    at, n = rows.astype(np.float64), len(rows)
    weekday = np.equal.outer(rows % _WEEK, np.arange(_WEEK)).astype(np.float64)
    basis, _ = np.linalg.qr(np.column_stack([weekday, at]))
    levels = np.arange(_BEFORE, n - _LEVEL_AFTER + 1)
    bends = np.arange(_BEFORE, n - _TREND_AFTER + 1)
    tried = np.column_stack(
        [*((at >= at[s]) * 1.0 for s in levels), *(np.maximum(at - at[s] + 1, 0.0) for s in bends)]
    )
    left = tried - basis @ (basis.T @ tried)
    residual = log - basis @ (basis.T @ log)
    own = (left**2).sum(axis=0)
    size = left.T @ residual / own[:, None]  # (tried, series)
    explained = size**2 * own[:, None]
    best = explained.argmax(axis=0)
    series = np.arange(log.shape[1])
    change, regressor = size[best, series], left[:, best]
    rest = residual - regressor * change
    freedom = float(n - basis.shape[1] - 1)
    error = np.sqrt((rest**2).sum(axis=0) / freedom / own[best])
    inflation = _inflation(rest)
    error, freedoms = error * inflation, np.maximum(freedom / inflation**2, 2.0)
    error = np.maximum(error, 1e-9)
    p_values = np.minimum(1.0, 2 * stdtr(freedoms, -np.abs(change) / error) * tried.shape[1])
    half = stdtrit(freedoms, 0.975) * error
    places = [*levels, *bends]
    for number in series.tolist():
        place = int(places[best[number]])
        step = bool(best[number] < len(levels))
        scope, metric = keys[int(columns[number])]
        line = np.linalg.lstsq(
            np.column_stack([weekday, at, tried[:, best[number]]]), log[:, number], rcond=None
        )[0]
        if step:
            before = line[:_WEEK].mean() + line[_WEEK] * at[place]
            ends = np.expm1(change[number] + np.array([0.0, -half[number], half[number]]))
            course = np.exp(before + np.array([0.0, change[number]]))
        else:
            before = _WEEK * line[_WEEK]
            course = np.expm1(before + np.array([0.0, _WEEK * change[number]]))
            bounds = _WEEK * (change[number] + np.array([0.0, -half[number], half[number]]))
            ends = np.expm1(before + bounds) - course[0]
        yield Change(
            scope=scope,
            metric=metric if step else f"{metric}{GROWTH}",
            day=days[int(rows[place])],
            value=float(course[1]),
            expected=float(course[0]),
            effect=float(ends[0]),
            low=float(ends[1]),
            high=float(ends[2]),
            p_value=float(p_values[number]),
        )


def _inflation(rest: Floats) -> Floats:
    """Of the standard error, by how alike residuals are a day and two days apart: the first lasts
    as the second of them says, as in a level that wanders under noise (ARMA(1,1)). Estimates from
    n days about a line and a turn are too small by some (6 + 5 r) / n (Kendall 1954 of a mean)."""
    n = len(rest)
    scale = np.maximum((rest**2).sum(axis=0), 1e-18)
    one, two = ((rest[lag:] * rest[:-lag]).sum(axis=0) / scale for lag in (1, 2))
    one, two = (np.clip(r + (6 + 5 * r) / n, 0.0, _MOST_CORRELATED) for r in (one, two))
    lasts = np.clip(two / np.maximum(one, 0.1), np.minimum(one, _MOST_LASTING), _MOST_LASTING)
    return np.asarray(np.sqrt(1 + 2 * one / (1 - lasts)))
