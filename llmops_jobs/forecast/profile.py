"""The weekly rhythm: how much of it there is evidence for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.members import WEEK
from llmops_jobs.forecast.robust import masked_median, moving

Floats = NDArray[np.float64]

_NEAR = (-3, -2, -1, 1, 2, 3)  # days around one that make a week
_TURNS = 4


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
    few = _early(window, mean, cycles)
    shrink = np.where(cycles >= 3, bayes, np.where(cycles >= 1, few, 0.0))
    return mean * shrink, shrink


_SHAPE_DAYS = 2.0  # days of evidence that the shape of one week is worth
_SHAPE_CHANCE = 1.5  # what fits best of seven places fits too well by chance


def _early(window: Floats, mean: Floats, cycles: Floats) -> Floats:
    """`(series,)`: how much of a profile of one to three weeks is more than noise.

    The noise of a day is read from two signs: how the second week differs from the first, and
    how far the profile is from five days of one kind and two neighbours of another, which few
    weeks look like by chance.
    """
    repeat = window[WEEK:] - window[:-WEEK]
    known = ~np.isnan(repeat)
    pairs = known.sum(axis=0)
    moved = np.where(known, repeat, 0.0).sum(axis=0) / (pairs + 2.0)
    differed = np.where(known, (repeat - moved) ** 2 / 2, 0.0).sum(axis=0)
    two = mean + np.roll(mean, -1, axis=0)
    explained = (two**2 / 2 + two**2 / 5).max(axis=0)
    whole = (mean**2).sum(axis=0)
    off_shape = _SHAPE_CHANCE * np.maximum(cycles, 1.0) * np.maximum(whole - explained, 0.0) / 4
    noise = (differed + _SHAPE_DAYS * off_shape) / (pairs + _SHAPE_DAYS)
    of_mean = noise / np.maximum(cycles, 1.0)
    return np.asarray(np.clip(1.0 - of_mean / np.maximum(whole / (WEEK - 1), 1e-12), 0.0, 1.0))


_NOISE_WEEKS = 4.0  # weeks of evidence that a weekday's own variance is worth at the start
_NOISE_LEAST, _NOISE_MOST = 0.2, 5.0


def weekday_noise(log: Floats, season: Floats, weeks: int = 20) -> Floats:
    """`(7, series)`: the variance of each weekday about level and profile over the mean one's.

    Drawn towards 1 by how few weeks there are; robust, by mean absolute deviations.
    """
    window = log[-weeks * WEEK :]
    index = np.arange(len(log) - len(window), len(log)) % WEEK
    flat = window - season[index]
    level = masked_median(moving(flat, range(-3, 4)), axis=0)
    off = np.abs(flat - level)
    known = ~np.isnan(off)
    off = np.where(known, off, 0.0)
    seen = np.stack([known[index == weekday].sum(axis=0) for weekday in range(WEEK)])
    size = np.stack([off[index == weekday].sum(axis=0) for weekday in range(WEEK)])
    whole = size.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    mean = (size + _NOISE_WEEKS * whole) / (seen + _NOISE_WEEKS)
    variance = np.clip((mean / np.maximum(whole, 1e-9)) ** 2, _NOISE_LEAST, _NOISE_MOST)
    variance = np.where(whole > 1e-9, variance, 1.0)
    return np.asarray(variance / variance.mean(axis=0))


def _shifted(values: NDArray[Any], offset: int) -> NDArray[Any]:
    """Row i holds what was in row i + offset, 0 beyond the ends."""
    result = np.zeros_like(values)
    if 0 < abs(offset) < len(values):
        if offset > 0:
            result[:-offset] = values[offset:]
        else:
            result[-offset:] = values[:offset]
    return result
