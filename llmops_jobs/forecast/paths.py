"""Sample paths: what the days ahead may bring, all series moved by the same drawn days.

Every series draws its shocks from the same past days (a synchronous bootstrap), so that series
which rose together in the past rise together in a path, and a sum of paths is the sum's
distribution. Paths are in single precision: seven digits of what is itself a draw, in a fraction
of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.draws import Draws, Singles

Floats = NDArray[np.float64]

POOL = 120  # newest days whose shocks are drawn
_SMOOTH = 0.10  # of sigma, as noise on top: the drawn shocks are not the only possible ones
_VOLATILITY = 0.5  # log-standard deviation of a path's own volatility
# What a daily shock is before there is evidence: weighs three days, and less after two weeks.
_PRIOR_SIGMA, _PRIOR_DAYS, _PRIOR_FADES = 0.30, 3.0, 14.0
# How far a level may drift in four weeks, as log-standard deviation, beyond what four weeks of
# history show; a longer history shows more of it. Half of the variance is common to all series.
_DRIFT, _DRIFT_DAYS, _DRIFT_COMMON = 0.15, 28, 0.5
_ORDER, _DRIFTS, _SWING = 0, 4, 10  # streams of the draws


@dataclass(frozen=True)
class Pool:
    """The past shocks of every series, to be drawn from."""

    past: Singles  # (series, rows): centred and scaled, NaN on a day that was not known
    sigma: Singles  # (series,): size of a daily shock
    unsure: Singles  # (series,): log-standard deviation of a path's own volatility

    @classmethod
    def of(cls, errors: Floats, spent: Floats) -> Pool:
        """From one-day errors `(days, series)`.

        `spent` is the number of parameters that the same days were used for: with few days the
        errors look smaller than they are.
        """
        pool = errors[-POOL:]
        known = ~np.isnan(pool)
        count = known.sum(axis=0)
        mean = np.where(known, pool, 0.0).sum(axis=0) / np.maximum(count, 1)
        centred = np.where(known, pool - mean, np.nan)
        summed = np.nansum(centred**2, axis=0)
        variance = summed * count / np.maximum(count - spent, np.maximum(0.125 * count, 1.0))
        prior = _PRIOR_DAYS * _PRIOR_SIGMA**2 * np.minimum(1.0, _PRIOR_FADES / np.maximum(count, 1))
        sigma = np.sqrt((variance + prior) / (count + _PRIOR_DAYS))
        raw = np.sqrt(summed / np.maximum(count, 1))
        widen = np.where(raw > 0, sigma / np.where(raw > 0, raw, 1.0), np.nan)
        # The width itself is an estimate: with few days a path may be far wilder than they were.
        unsure = np.sqrt(_VOLATILITY**2 + 1.0 / (2 * np.maximum(count - spent, 1.0)))
        return cls(
            np.ascontiguousarray((centred * widen).T, dtype=np.float32),
            sigma.astype(np.float32),
            unsure.astype(np.float32),
        )


def shocks(
    pool: Pool, series: NDArray[np.int64], names: Sequence[str], draws: Draws, horizon: int
) -> Singles:
    """`(series, horizon, paths)` one-day shocks of some of the series, `names` being theirs."""
    order, swing = draws.order(horizon, _ORDER), draws.per_path(_SWING)
    rows = max(pool.past.shape[1], 1)
    drawn = order * rows // order.shape[1]
    result = np.empty((len(series), *drawn.shape), dtype=np.float32)
    for at, (number, name) in enumerate(zip(series.tolist(), names, strict=True)):
        past, sigma, shock = pool.past[number], pool.sigma[number], result[at]
        if past.size:
            np.take(past, drawn, out=shock, mode="clip")
        if not past.size or np.isnan(past).any():
            tail = draws.own("tail", name, horizon) * sigma
            shock[:] = np.where(np.isnan(shock), tail, shock) if past.size else tail
        shock += draws.own("normal", name, horizon) * (_SMOOTH * sigma)
        shock *= np.exp(pool.unsure[number] * swing - np.float32(_VOLATILITY**2 / 2))
    return result


def propagate(shock: Singles, psi: Floats, first: int) -> Singles:
    """Shocks carried forward by the models' memory: `(series, horizon, paths)` deviations.

    `psi` is `(7, horizon, series)` by the weekday of the shock, of which `first` is the first
    day's; psi[:, 0] = 1.
    """
    horizon = shock.shape[1]
    day = np.arange(horizon)
    lag = day[:, None] - day[None]  # target - origin of the shock
    carried = psi[(first + day) % len(psi), np.maximum(lag, 0)].astype(np.float32)
    carried[lag < 0] = 0.0
    return np.ascontiguousarray(np.moveaxis(carried, -1, 0)) @ shock


def drift(observed: NDArray[np.int64], horizon: int, from_days: int) -> Floats:
    """`(horizon, series)`: log-standard deviation of a level's drift, a random walk's, that no
    back-test of so many days can find. It sets in between `from_days` and four weeks of history:
    a younger level is in doubt already."""
    weeks = np.sqrt(np.arange(1, horizon + 1) / _DRIFT_DAYS)[:, None]
    begun = np.clip((observed - from_days) / (_DRIFT_DAYS - from_days), 0.0, 1.0)
    unseen = np.sqrt(begun * _DRIFT_DAYS / np.maximum(observed, 1))
    return np.asarray(_DRIFT * weeks * unseen)


def drifts(names: Sequence[str], draws: Draws) -> Singles:
    """`(series, 1, paths)` standard normal numbers, partly those of all series."""
    own = np.stack([draws.own("normal", f"level of {name}", 1) for name in names])
    common = np.float32(np.sqrt(_DRIFT_COMMON)) * draws.per_path(_DRIFTS)
    return np.asarray(common + np.float32(np.sqrt(1 - _DRIFT_COMMON)) * own)
