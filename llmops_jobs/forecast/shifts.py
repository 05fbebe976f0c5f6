"""A level that moved: found, dated and sized, so that older days can be read at the new level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.robust import masked_median

Floats = NDArray[np.float64]

WEEK = 7
YOUNGEST, OLDEST = 3, 21  # days since the shift within which it matters to a forecast
_MADS = 5.0
_LEAST = float(np.log(1.5))
_BEFORE = 28  # days before a shift that define the old level


@dataclass(frozen=True)
class Shift:
    """One shift per series (the clearest), `age` 0 where there is none."""

    age: NDArray[np.int64]  # days at the new level, the last day included
    size: Floats  # log(new level / old level)
    low: Floats  # 95 % interval of the size
    high: Floats


def recent_shift(log: Floats) -> Shift:
    """The clearest shift of level in the last three weeks, per column of `(days, series)` logs.

    Each day since a supposed shift is compared with the median of its weekday in the four weeks
    before. It is a shift when all of them lie on one side, their median is beyond five median
    absolute weekly differences and half of the level, and the last week of the old level
    was ordinary (a trend is no shift).
    """
    days, series = log.shape
    age = np.zeros(series, dtype=np.int64)
    size, low, high = np.zeros(series), np.zeros(series), np.zeros(series)
    best = np.zeros(series)
    weekly = log[WEEK:] - log[:-WEEK] if days > WEEK else np.full((1, series), np.nan)
    for candidate in range(YOUNGEST, OLDEST + 1):
        first = days - candidate
        if first < 2 * WEEK:
            break
        before = log[max(0, first - _BEFORE) : first]
        noise = masked_median(np.abs(weekly[: max(first - WEEK, 1)][-2 * _BEFORE :]), axis=0)
        usual = _weekday_medians(before)
        after = log[first:] - usual[np.arange(candidate) % WEEK]
        week = log[first - WEEK : first] - usual
        jump = masked_median(after, axis=0)
        seen = (~np.isnan(after)).sum(axis=0)
        one_side = (np.nan_to_num(after * np.sign(jump), nan=1.0) > 0).all(axis=0)
        bound = np.maximum(_MADS * noise, _LEAST)
        calm = np.abs(np.nan_to_num(masked_median(week, axis=0))) < 0.5 * bound
        spread = masked_median(np.abs(after - jump), axis=0)
        enough = (~np.isnan(before)).sum(axis=0) >= WEEK
        clear = np.abs(jump) / np.maximum(np.maximum(spread, noise), 0.02)
        # The last day of the old level must differ from the new one, or the date is too early.
        edge = np.abs(after[0] - jump) < np.abs(after[0])
        found = one_side & (np.abs(jump) > bound) & calm & enough & (seen >= YOUNGEST) & edge
        score = clear * np.sqrt(candidate)
        better = found & (score > best)
        half = 1.96 * 1.2533 * 1.4826 * np.maximum(spread, noise) / np.sqrt(np.maximum(seen, 1))
        age = np.where(better, candidate, age)
        size = np.where(better, jump, size)
        low = np.where(better, jump - half, low)
        high = np.where(better, jump + half, high)
        best = np.where(better, score, best)
    return Shift(age, size, low, high)


def move_older(log: Floats, shift: Shift) -> Floats:
    """The series with every day before its shift moved to the new level."""
    days = len(log)
    older = np.arange(days)[:, None] < days - shift.age
    return log + np.where(older & (shift.age > 0), shift.size, 0.0)


def _weekday_medians(before: Floats) -> Floats:
    """`(7, series)`: row i the median of the i-th day after the end, 7 days back, 14, 21, 28; the
    overall median where that weekday is not known."""
    missing = _BEFORE - len(before)
    if missing > 0:
        before = np.concatenate([np.full((missing, before.shape[1]), np.nan), before])
    weeks = before.reshape(_BEFORE // WEEK, WEEK, -1)
    table = masked_median(weeks, axis=0)
    return np.where(np.isnan(table), masked_median(before, axis=0), table)
