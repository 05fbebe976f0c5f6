"""Parameters of the pool, chosen on the past: by statsmodels where it matters, else on a grid.

A fit is made once a week and kept; on other nights only the states move on. It is a function of
the days up to the fit alone, so a backfill repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.backtest import combination, error_scale, rolling_errors
from llmops_jobs.forecast.likelihood import maximum_likelihood
from llmops_jobs.forecast.members import WEEK, Parameters, States, damping, run
from llmops_jobs.forecast.profile import profile, weekday_noise
from llmops_jobs.forecast.robust import masked_median, moving

Floats = NDArray[np.float64]

MEMBERS = ("ets", "weekday-ses", "theta", "seasonal-naive")
WITH_TREND = 56  # known days from which ETS gets a damped trend
WITH_NAIVE = 12  # from which the last week is a member of its own: it can be judged by five days
WITH_ETS = 21  # known days from which ETS and Theta join
WITH_FITTED_SES = 28
_SES_ALPHA = 0.25  # where there is too little to choose it,
# and more in the first fortnight: a level that few days tell is changed more by the next one.
_EARLY_DAYS, _EARLY_MOST = 4.0, 0.5
LONGEST = 62  # days ahead that the back-test reaches; beyond, its last scale holds
_ORIGINS = 120  # days of the past from which the back-test forecasts
_TEST_HORIZON = 14
_TRUSTED = 28.0  # days whose fortnights weigh half as much as the next day
# How much more a member is believed than its errors say: ETS holds the others as special cases.
_BELIEF = np.array([2.0, 0.5, 1.0, 0.5])

_ETS_GRID = np.array(
    [
        (alpha, beta, gamma, phi)
        for alpha in (0.05, 0.12, 0.25, 0.45, 0.7)
        for beta, phi in ((0.0, 0.0), (0.02, 0.95), (0.06, 0.9), (0.01, 0.99), (0.04, 0.98))
        for gamma in (0.02, 0.1, 0.25)
    ]
)
_SES_GRID = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0])


@dataclass(frozen=True)
class Fit:
    """What is kept from one week to the next; every array has a series axis of the same length."""

    parameters: Parameters
    weights: Floats  # (members, series), sum 1
    scale: Floats  # (horizon, series): measured error / what the model implies

    def extend(self, other: Fit) -> Fit:
        return Fit(
            self.parameters.extend(other.parameters),
            np.concatenate([self.weights, other.weights], axis=1),
            np.concatenate([self.scale, other.scale], axis=1),
        )

    def select(self, series: NDArray[np.int64]) -> Fit:
        return Fit(self.parameters.take(series), self.weights[:, series], self.scale[:, series])


def fit(log: Floats, observed: NDArray[np.int64], with_statsmodels: NDArray[np.bool_]) -> Fit:
    """Chooses parameters, weights and error scale for `(days, series)` clean logarithms."""
    parameters = started(log)
    _choose_ets(log, observed, parameters)
    _choose_ses(log, observed, parameters)
    _refine_ets(log, parameters, with_statsmodels & (observed >= WITH_TREND))
    states = run(log, parameters, keep=_ORIGINS + LONGEST)
    errors, known = rolling_errors(log, states, parameters, _TEST_HORIZON)
    weights = combination(errors, known, _belief(observed))
    return Fit(parameters, weights, error_scale(log, states, parameters, weights, LONGEST))


def _belief(observed: NDArray[np.int64]) -> Floats:
    """`(members, series)`; 0 for what a short history does not carry."""
    belief = np.repeat(_BELIEF[:, None], len(observed), axis=1)
    belief[[0, 2]] *= observed >= WITH_ETS
    belief[3] *= observed >= WITH_NAIVE
    return belief


def started(log: Floats, chosen: Parameters | None = None) -> Parameters:
    """The pool with its first states read off the data, and the smoothing of `chosen`.

    States are read anew every night: a series may have begun, or been cleaned otherwise, since
    its smoothing was chosen.
    """
    members, series = len(MEMBERS), log.shape[1]
    weekday, _ = profile(log)
    noise = weekday_noise(log, weekday).T[None]
    season = np.broadcast_to(weekday.T, (members, series, WEEK)).copy()
    index = np.arange(len(log)) % WEEK
    flat = log - weekday[index]
    rank = np.cumsum(~np.isnan(flat), axis=0)
    first = masked_median(np.where(rank <= 2 * WEEK, flat, np.nan), axis=0)
    second = masked_median(np.where((rank > 2 * WEEK) & (rank <= 4 * WEEK), flat, np.nan), axis=0)
    slope = np.clip(np.nan_to_num((second - first) / (2 * WEEK)), -0.1, 0.1)
    level = np.broadcast_to(np.nan_to_num(first), (members, series)).copy()
    zeros = np.zeros((members, series))
    alpha, beta, gamma, phi, trend = (zeros.copy() for _ in range(5))
    alpha[1:3] = _early_alpha((~np.isnan(log)).sum(axis=0))
    trend[0] = slope
    level[0] -= slope * WEEK
    # Theta: SES with half of the trend line's slope as drift.
    phi[2] = 1.0
    trend[2] = 0.5 * _line_slope(flat)
    level[2] -= trend[2] * WEEK
    level[3], gamma[3] = 0.0, 1.0
    season[3] = (weekday + np.nan_to_num(first)).T
    if chosen is not None:
        alpha, beta, gamma, phi = chosen.alpha, chosen.beta, chosen.gamma, chosen.phi
        trend[0] = np.where(beta[0] > 0, trend[0], 0.0)
    return Parameters(alpha, beta, gamma, phi, level, trend, season, noise)


def _line_slope(flat: Floats) -> Floats:
    """Least-squares slope per day of what is known."""
    known = ~np.isnan(flat)
    days = np.arange(len(flat))[:, None]
    count = np.maximum(known.sum(axis=0), 1)
    middle = (days * known).sum(axis=0) / count
    mean = np.nansum(flat, axis=0) / count
    spread = (((days - middle) ** 2) * known).sum(axis=0)
    slope: Floats = np.nansum((days - middle) * (flat - mean), axis=0) / np.maximum(spread, 1.0)
    return slope


def _choose_ets(log: Floats, observed: NDArray[np.int64], parameters: Parameters) -> None:
    """The grid point of the smallest cost."""
    grid = np.broadcast_to(_ETS_GRID.T[:, :, None], (4, len(_ETS_GRID), log.shape[1]))
    cost = _ets_cost(log, parameters, grid)
    cost = np.where((grid[1] > 0) & (observed < WITH_TREND), np.inf, cost)
    _set_ets(parameters, np.arange(log.shape[1]), _ETS_GRID[cost.argmin(axis=0)].T)


def _refine_ets(log: Floats, parameters: Parameters, chosen: NDArray[np.bool_]) -> None:
    """Takes the likeliest smoothing instead of the grid's where its cost is smaller too: what is
    likeliest judges tomorrow alone."""
    for series in np.flatnonzero(chosen).tolist():
        found = maximum_likelihood(log[:, series], parameters, series)
        if found is None:
            continue
        own = parameters.take(np.array([series, series]))
        now = [own.alpha[0, 0], own.beta[0, 0], own.gamma[0, 0], own.phi[0, 0]]
        both = np.repeat(np.array([now, found]).T[:, :, None], 2, axis=2)
        cost = _ets_cost(log[:, [series, series]], own, both)[:, 0]
        if cost[1] < cost[0]:
            _set_ets(parameters, np.array([series]), np.array(found)[:, None])


def _ets_cost(log: Floats, parameters: Parameters, smoothing: Floats) -> Floats:
    """`(trials, series)` for `(4, trials, series)` smoothings: the errors one day ahead and those
    of the mean of the next 14 days. What foretells tomorrow best often wanders too far in two
    weeks."""
    trial = _trial(parameters, 0, *smoothing)
    trial.trend = np.where(trial.beta > 0, trial.trend, 0.0)
    states = run(log, trial, keep=len(log), seasons=False)
    loud = np.sqrt(parameters.noise[0].T)[np.arange(len(log)) % WEEK]
    one, _ = _mean_square(states.errors / loud[:, None])
    fortnight, looks = _fortnight(log, states, trial, parameters.season[0])
    trust = looks / (looks + _TRUSTED)
    return np.asarray(np.log(one + 1e-9) + trust * np.log(fortnight + 1e-9))


def _set_ets(parameters: Parameters, series: NDArray[np.int64], smoothing: Floats) -> None:
    """Smoothing `(4, series)` of the pool's ETS, in place."""
    parameters.alpha[0, series], parameters.beta[0, series] = smoothing[0], smoothing[1]
    parameters.gamma[0, series], parameters.phi[0, series] = smoothing[2], smoothing[3]
    trend = parameters.trend[0, series]
    parameters.trend[0, series] = np.where(smoothing[1] > 0, trend, 0.0)


def _choose_ses(log: Floats, observed: NDArray[np.int64], parameters: Parameters) -> None:
    """The smoothing that best foretells the mean of the next 14 days."""
    alpha = np.broadcast_to(_SES_GRID[:, None], (len(_SES_GRID), log.shape[1]))
    zero = np.zeros_like(alpha)
    for member in (1, 2):
        phi = np.broadcast_to(parameters.phi[member], alpha.shape)
        trial = _trial(parameters, member, alpha, zero, zero, phi)
        states = run(log, trial, keep=len(log), seasons=False)
        cost, _ = _fortnight(log, states, trial, parameters.season[member])
        best = _SES_GRID[cost.argmin(axis=0)]
        early = _early_alpha((~np.isnan(log)).sum(axis=0))
        parameters.alpha[member] = np.where(observed >= WITH_FITTED_SES, best, early)


def _early_alpha(known: NDArray[np.int64]) -> Floats:
    return np.clip(_EARLY_DAYS / np.maximum(known, 1), _SES_ALPHA, _EARLY_MOST)


def _trial(
    parameters: Parameters, member: int, alpha: Floats, beta: Floats, gamma: Floats, phi: Floats
) -> Parameters:
    """A pool of one member's first states under many smoothings `(trials, series)`."""
    return Parameters(
        alpha,
        beta,
        gamma,
        phi,
        np.broadcast_to(parameters.level[member], alpha.shape),
        np.broadcast_to(parameters.trend[member], alpha.shape),
        np.broadcast_to(parameters.season[member], (*alpha.shape, WEEK)),
        parameters.noise,
    )


def _fortnight(
    log: Floats, states: States, trial: Parameters, season: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Mean squared error of the mean of the next 14 days, season apart, from every day."""
    flat = log - season.T[np.arange(len(log)) % WEEK]
    nxt = moving(flat, range(1, _TEST_HORIZON + 1))
    seen = (~np.isnan(nxt)).sum(axis=0)
    target = np.where(seen >= 10, np.nansum(nxt, axis=0) / np.maximum(seen, 1), np.nan)
    point = states.level + states.trend * damping(trial.phi, _TEST_HORIZON).mean(axis=0)
    return _mean_square(target[:, None] - point)


def _mean_square(errors: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Over the days, `(trials, series)`, each error within 3; and how many days are known."""
    known = ~np.isnan(errors)
    count = known.sum(axis=0)
    squares = np.where(known, np.minimum(np.abs(errors), 3.0) ** 2, 0.0).sum(axis=0)
    return squares / np.maximum(count, 1), count[0]
