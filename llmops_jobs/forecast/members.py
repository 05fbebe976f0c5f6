"""The pool of models, all in one form, run over all series at once.

Every member is a linear innovations state-space model (Hyndman, Koehler, Ord & Snyder 2008):

    z_t = l + phi b + s_t + e_t;  l += phi b + alpha e;  b = phi b + beta e;  s_t += gamma e

ETS(A,N,A) has phi = beta = 0; ETS(A,Ad,A) has all four; the weekday SES has a fixed weekday profile
(gamma = 0); Theta is that SES with half the slope of the trend as drift (phi = 1, beta = 0;
Hyndman & Billah 2003); the seasonal naive model has alpha = 0, gamma = 1. In this form forecasts
from every past day are array arithmetic, so the rolling-origin back-test needs no refit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEEK = 7


@dataclass
class Parameters:
    """Arrays `(members, series)`; `season` is `(members, series, 7)` by day index mod 7.

    `noise` `(1, series, 7)` is the error variance of each weekday over the mean weekday's: where
    weekends are erratic, a weekend's error says less about the level, and its interval is wider.
    """

    alpha: Floats
    beta: Floats
    gamma: Floats
    phi: Floats
    level: Floats
    trend: Floats
    season: Floats
    noise: Floats

    def take(self, series: NDArray[np.int64]) -> Parameters:
        return Parameters(*(getattr(self, f.name)[:, series] for f in fields(self)))

    def extend(self, other: Parameters) -> Parameters:
        return Parameters(
            *(
                np.concatenate([getattr(self, f.name), getattr(other, f.name)], axis=1)
                for f in fields(self)
            )
        )


@dataclass(frozen=True)
class States:
    """After each of the last `kept` days: level and trend `(kept, members, series)`, season with
    another axis of 7 (of no day, where it was not asked for); and all one-day-ahead errors
    `(days, members, series)`, NaN where unknown."""

    level: Floats
    trend: Floats
    season: Floats
    errors: Floats
    last: int  # index of the last day


def run(log: Floats, parameters: Parameters, keep: int = 1, *, seasons: bool = True) -> States:
    """Filters `(days, series)`. A day that is NaN changes nothing but the trend's course."""
    days, _series = log.shape
    known = ~np.isnan(log)
    values = np.where(known, log, 0.0)
    gamma, phi = parameters.gamma, parameters.phi
    alpha, beta = gains(parameters)
    level, trend, season = (
        parameters.level.copy(),
        parameters.trend.copy(),
        parameters.season.copy(),
    )
    started = np.maximum.accumulate(known, axis=0)
    keep = min(keep, days)
    kept_level = np.empty((keep, *level.shape))
    kept_trend = np.empty((keep, *level.shape))
    kept_season = np.empty((keep if seasons else 0, *season.shape))
    errors = np.empty((days, *level.shape))
    for day in range(days):
        weekday = day % WEEK
        drift = phi * trend * started[day]
        base = level + drift
        error = (values[day] - base - season[:, :, weekday]) * known[day]
        errors[day] = error
        level = base + alpha[weekday] * error
        trend = np.where(started[day], phi * trend + beta[weekday] * error, trend)
        season[:, :, weekday] += gamma * error
        slot = day - (days - keep)
        if slot >= 0:
            kept_level[slot], kept_trend[slot] = level, trend
            if seasons:
                kept_season[slot] = season
    errors[np.broadcast_to(~known[:, None, :], errors.shape)] = np.nan
    return States(kept_level, kept_trend, kept_season, errors, days - 1)


def gains(parameters: Parameters) -> tuple[Floats, Floats]:
    """alpha and beta by weekday, `(7, members, series)`: the Kalman gain alpha = P / (P + R) of a
    level whose measurement has the variance R of that weekday."""
    alpha = parameters.alpha[None]
    noise = np.moveaxis(parameters.noise, -1, 0)
    part = 1.0 / np.maximum(alpha + (1.0 - alpha) * noise, 1e-9)
    return alpha * part, parameters.beta[None] * part


def damping(phi: Floats, horizon: int) -> Floats:
    """`(horizon, members, series)`: phi + phi^2 + … + phi^h."""
    return np.cumsum(phi[None] ** np.arange(1, horizon + 1)[:, None, None], axis=0)


def ahead(states: States, parameters: Parameters, horizon: int) -> Floats:
    """Forecasts from each kept day: `(kept, horizon, members, series)`."""
    kept = len(states.level)
    days = states.last - kept + 1 + np.arange(kept)
    weekday = (days[:, None] + np.arange(1, horizon + 1)) % WEEK
    season = np.moveaxis(states.season, -1, 1)  # (kept, 7, members, series)
    seasonal = season[np.arange(kept)[:, None], weekday]
    result: Floats = (
        states.level[:, None]
        + states.trend[:, None] * damping(parameters.phi, horizon)[None]
        + seasonal
    )
    return result


def responses(parameters: Parameters, horizon: int) -> Floats:
    """What an error of size 1 on a weekday does to the days after it: psi, `(7, horizon, members,
    series)`.

    psi_0 = 1 is the day itself; psi_j = alpha + beta (phi + … + phi^j) + gamma [7 divides j].
    """
    alpha, beta = gains(parameters)
    psi = np.empty((WEEK, horizon, *parameters.alpha.shape))
    psi[:, 0] = 1.0
    if horizon > 1:
        steps = np.arange(1, horizon)
        damped = damping(parameters.phi, horizon - 1)
        psi[:, 1:] = alpha[:, None] + beta[:, None] * damped[None]
        psi[:, 1:][:, steps % WEEK == 0] += parameters.gamma
    return psi
