"""The weekly rhythm: how much of it there is evidence for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.members import WEEK

Floats = NDArray[np.float64]

_NEAR = (-3, -2, -1, 1, 2, 3)  # days around one that make a week
_TURNS = 4
_WEEKDAY_VARIANCE = 0.25  # of logs, as much as weekdays differ by before there is evidence


def profile(log: Floats, weeks: int = 20) -> tuple[Floats, Floats]:
    """`(7, series)`: deviation of each weekday (day index mod 7) from the running level, shrunk;
    and `(series,)` the shrinkage.

    Level and profile are fitted in turns, so that the ends of a short history, where the running
    level sees part of a week only, do not leak into it. The shrinkage is empirical Bayes:
    between-weekday variance against the noise of a weekday's mean; with less than three weeks it
    is what that many weeks deserve.
    """
    days, series = log.shape
    window = log[-weeks * WEEK :]
    first = days - len(window)
    index = np.arange(first, days) % WEEK
    known = ~np.isnan(window)
    filled = np.where(known, window, 0.0)
    seen = np.stack([known[index == weekday].sum(axis=0) for weekday in range(WEEK)])
    near = [known] + [_shifted(known, offset) for offset in _NEAR]
    count = np.maximum(np.sum(near, axis=0), 1)
    mean = np.zeros((WEEK, series))
    for _ in range(_TURNS):
        flat = np.where(known, filled - mean[index], 0.0)
        level = (flat + sum(_shifted(flat, offset) for offset in _NEAR)) / count
        off = np.where(known, filled - level, 0.0)
        mean = np.stack([off[index == weekday].sum(axis=0) for weekday in range(WEEK)])
        mean /= np.maximum(seen, 1)
        mean -= mean.mean(axis=0)
    within = (np.where(known, filled - level - mean[index], 0.0) ** 2).sum(axis=0)
    total = seen.sum(axis=0)
    noise = within / np.maximum(total - WEEK, 1)
    cycles = total / WEEK
    of_mean = noise / np.maximum(cycles, 0.5)
    between = np.maximum((mean**2).sum(axis=0) / (WEEK - 1) - of_mean, 0.0)
    bayes = between / np.maximum(between + of_mean, 1e-12)
    # A first week that varies more than weekdays do is no profile.
    spread = ((mean**2).sum(axis=0) + within) / np.maximum(total, 1)
    few = cycles / (cycles + 0.4) * np.minimum(1.0, _WEEKDAY_VARIANCE / np.maximum(spread, 1e-9))
    shrink = np.where(cycles >= 3, bayes, np.where(cycles >= 1, few, 0.0))
    return mean * shrink, shrink


def _shifted(values: NDArray[Any], offset: int) -> NDArray[Any]:
    """Row i holds what was in row i + offset, 0 beyond the ends."""
    result = np.zeros_like(values)
    if 0 < abs(offset) < len(values):
        if offset > 0:
            result[:-offset] = values[offset:]
        else:
            result[-offset:] = values[:offset]
    return result
