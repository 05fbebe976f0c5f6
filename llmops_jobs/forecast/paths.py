"""Sample paths: what the days ahead may bring, all series moved by the same drawn days.

Every series draws its shocks from the same past days (a synchronous bootstrap), so that series
which rose together in the past rise together in a path, and a sum of paths is the sum's
distribution. What is drawn for one series depends on the seed and its own name alone: neither on
which other series are there nor on how many processes work.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.members import WEEK

Floats = NDArray[np.float64]

POOL = 120  # newest days whose shocks are drawn
_SMOOTH = 0.10  # of sigma, as noise on top: the drawn shocks are not the only possible ones
_VOLATILITY = 0.5  # log-standard deviation of a path's own volatility
# What a daily shock is before there is evidence: weighs three days, and less after two weeks.
_PRIOR_SIGMA, _PRIOR_DAYS, _PRIOR_FADES = 0.30, 3.0, 14.0
_TAIL = 5  # degrees of freedom where shocks cannot be drawn from the past


def shocks(
    errors: Floats, spent: Floats, names: Sequence[str], paths: int, horizon: int, seed: int
) -> Floats:
    """`(series, paths, horizon)` one-day shocks from the errors `(days, series)` of the past.

    `spent` is the number of parameters that the same days were used for: with few days the errors
    look smaller than they are.
    """
    pool = errors[-POOL:]
    known = ~np.isnan(pool)
    count = known.sum(axis=0)
    mean = np.where(known, pool, 0.0).sum(axis=0) / np.maximum(count, 1)
    centred = np.where(known, pool - mean, np.nan)
    variance = np.nansum(centred**2, axis=0)
    variance *= count / np.maximum(count - spent, np.maximum(0.125 * count, 1.0))
    prior = _PRIOR_DAYS * _PRIOR_SIGMA**2 * np.minimum(1.0, _PRIOR_FADES / np.maximum(count, 1))
    sigma = np.sqrt((variance + prior) / (count + _PRIOR_DAYS))
    raw = np.sqrt(np.nansum(centred**2, axis=0) / np.maximum(count, 1))
    common = np.random.default_rng(seed)
    rows = max(len(pool), 1)
    drawn = _even_draw(common, paths, horizon, rows)
    swing = common.standard_normal(paths)
    # The width itself is an estimate: with few days a path may be far wilder than they were.
    freedom = np.maximum(count - spent, 1.0)
    unsure = np.sqrt(_VOLATILITY**2 + 1.0 / (2 * freedom))
    result = np.empty((len(names), paths, horizon))
    for series, name in enumerate(names):
        own = np.random.default_rng([seed, zlib.crc32(name.encode())])
        tail = own.standard_t(_TAIL, (paths, horizon)) * np.sqrt((_TAIL - 2) / _TAIL)
        noise = own.standard_normal((paths, horizon)) * _SMOOTH
        widen = sigma[series] / raw[series] if raw[series] > 0 else 0.0
        past = centred[drawn, series] * widen if len(pool) else np.full((paths, horizon), np.nan)
        own_shock = np.where(np.isnan(past) | (widen == 0.0), tail * sigma[series], past)
        volatility = np.exp(unsure[series] * swing - _VOLATILITY**2 / 2)
        result[series] = (own_shock + noise * sigma[series]) * volatility[:, None]
    return result


def _even_draw(
    random: np.random.Generator, paths: int, horizon: int, rows: int
) -> NDArray[np.int64]:
    """`(paths, horizon)` row numbers; on each day every row comes equally often, which takes most
    of the sampling noise out of the quantiles."""
    base = np.arange(paths) * rows // paths
    columns = np.empty((paths, horizon), dtype=np.int64)
    for day in range(horizon):
        columns[:, day] = random.permutation(base)
    return columns


def propagate(shock: Floats, psi: Floats) -> Floats:
    """Shocks carried forward by the models' memory: `(series, paths, horizon)` deviations.

    `psi` is `(horizon, series)`, psi[0] = 1.
    """
    horizon = shock.shape[2]
    lag = np.arange(horizon)[:, None] - np.arange(horizon)[None]  # target - origin of the shock
    toeplitz = np.where(lag[None] >= 0, psi.T[:, np.maximum(lag, 0)], 0.0).astype(np.float32)
    # Single precision: seven digits of a deviation that is itself a draw, at half the time.
    return (shock.astype(np.float32) @ np.swapaxes(toeplitz, 1, 2)).astype(np.float64)


def resampled(
    amounts: Floats, known: NDArray[np.bool_], paths: int, horizon: int, seed: int, name: str
) -> Floats:
    """`(paths, horizon)` for an intermittent series: past amounts of the same weekday, newer ones
    likelier (half-life four weeks), other weekdays at a third of the weight."""
    days = len(amounts)
    position = np.arange(days)
    weight = 0.5 ** ((days - 1 - position) / (4 * WEEK)) * known
    common = np.random.default_rng([seed, 1])
    own = np.random.default_rng([seed, zlib.crc32(name.encode())])
    even = (np.arange(paths) + 0.5) / paths
    result = np.empty((paths, horizon))
    values = np.nan_to_num(amounts)
    for day in range(horizon):
        draw = common.permutation(even)
        same = (position % WEEK) == ((days + day) % WEEK)
        cumulative = np.cumsum(weight * np.where(same, 1.0, 0.35))
        chosen = np.searchsorted(cumulative, draw * cumulative[-1])
        result[:, day] = values[np.minimum(chosen, days - 1)]
    size = np.exp(0.25 * own.standard_normal((paths, 1)) + 0.1 * own.standard_normal(result.shape))
    return np.asarray(result * size)


def rare_use(
    amounts: Floats, shut: NDArray[np.bool_], paths: int, horizon: int, seed: int, name: str
) -> Floats:
    """`(paths, shut days)` for weekdays without use: nothing, but not for certain. In one path of
    n + 2 (n the weeks seen; never fewer than 3 %) some part of an ordinary day."""
    own = np.random.default_rng([seed, zlib.crc32(name.encode()), 5])
    used = amounts[np.nan_to_num(amounts) > 0]
    weeks = max(len(amounts) / WEEK, 1.0)
    chance = max(1.0 / (weeks + 2.0), 0.03)
    some = own.random((paths, horizon)) < chance
    part = own.random((paths, horizon)) * own.choice(used, (paths, horizon))
    return np.asarray(np.where(some, part, 0.0)[:, shut])
