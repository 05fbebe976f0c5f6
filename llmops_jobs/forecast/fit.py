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
from llmops_jobs.forecast.members import WEEK, Parameters, damping, run
from llmops_jobs.forecast.profile import profile
from llmops_jobs.forecast.robust import masked_median, moving

Floats = NDArray[np.float64]

MEMBERS = ("ets", "weekday-ses", "theta", "seasonal-naive")
WITH_TREND = 56  # known days from which ETS gets a damped trend
WITH_ETS = 21  # known days from which ETS joins
WITH_FITTED_SES = 28
_SES_ALPHA = 0.2  # where there is too little to choose it
LONGEST = 62  # days ahead that the back-test reaches; beyond, its last scale holds
_ORIGINS = 120  # days of the past from which the back-test forecasts
_TEST_HORIZON = 14

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
    for series in np.flatnonzero(with_statsmodels & (observed >= WITH_ETS)):
        maximum_likelihood(log[:, series], observed[series] >= WITH_TREND, parameters, series)
    states = run(log, parameters, keep=_ORIGINS + LONGEST)
    errors, known = rolling_errors(log, states, parameters, _TEST_HORIZON)
    weights = combination(errors, known, _allowed(observed))
    return Fit(parameters, weights, error_scale(log, states, parameters, weights, LONGEST))


def _allowed(observed: NDArray[np.int64]) -> NDArray[np.bool_]:
    """`(members, series)`: a short history is left to the weekday SES."""
    allowed = np.ones((len(MEMBERS), len(observed)), dtype=np.bool_)
    allowed[[0, 2, 3]] = observed >= WITH_ETS
    return allowed


def started(log: Floats, chosen: Parameters | None = None) -> Parameters:
    """The pool with its first states read off the data, and the smoothing of `chosen`.

    States are read anew every night: a series may have begun, or been cleaned otherwise, since
    its smoothing was chosen.
    """
    members, series = len(MEMBERS), log.shape[1]
    weekday, _ = profile(log)
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
    alpha[1:3] = _SES_ALPHA
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
    return Parameters(alpha, beta, gamma, phi, level, trend, season)


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
    """The grid point with the smallest one-day-ahead squared error."""
    grid = _ETS_GRID.T[:, :, None]
    count, series = len(_ETS_GRID), log.shape[1]
    shape = (count, series)
    beta = np.broadcast_to(grid[1], shape)
    trial = Parameters(
        np.broadcast_to(grid[0], shape),
        beta,
        np.broadcast_to(grid[2], shape),
        np.broadcast_to(grid[3], shape),
        np.broadcast_to(parameters.level[0], shape),
        np.where(beta > 0, parameters.trend[0], 0.0),
        np.broadcast_to(parameters.season[0], (count, series, WEEK)),
    )
    errors = run(log, trial).errors
    cost = np.nansum(np.minimum(np.abs(errors), 3.0) ** 2, axis=0)
    cost = np.where((beta > 0) & (observed < WITH_TREND), np.inf, cost)
    best = cost.argmin(axis=0)
    chosen = _ETS_GRID[best]
    parameters.alpha[0], parameters.beta[0] = chosen[:, 0], chosen[:, 1]
    parameters.gamma[0], parameters.phi[0] = chosen[:, 2], chosen[:, 3]
    parameters.trend[0] = np.where(chosen[:, 1] > 0, parameters.trend[0], 0.0)


def _choose_ses(log: Floats, observed: NDArray[np.int64], parameters: Parameters) -> None:
    """The smoothing that best foretells the mean of the next 14 days."""
    count, series = len(_SES_GRID), log.shape[1]
    shape = (count, series)
    zero = np.zeros(shape)
    for member in (1, 2):
        trial = Parameters(
            np.broadcast_to(_SES_GRID[:, None], shape),
            zero,
            zero,
            np.broadcast_to(parameters.phi[member], shape),
            np.broadcast_to(parameters.level[member], shape),
            np.broadcast_to(parameters.trend[member], shape),
            np.broadcast_to(parameters.season[member], (count, series, WEEK)),
        )
        states = run(log, trial, keep=len(log))
        index = np.arange(len(log)) % WEEK
        flat = log - parameters.season[member].T[index]
        nxt = moving(flat, range(1, 15))
        seen = (~np.isnan(nxt)).sum(axis=0)
        target = np.where(seen >= 10, np.nansum(nxt, axis=0) / np.maximum(seen, 1), np.nan)
        point = states.level + states.trend * damping(trial.phi, 14).mean(axis=0)
        cost = (np.minimum(np.abs(target[:, None] - point), 3.0)) ** 2
        known = ~np.isnan(cost)
        total = np.where(known, cost, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        best = _SES_GRID[total.argmin(axis=0)]
        parameters.alpha[member] = np.where(observed >= WITH_FITTED_SES, best, _SES_ALPHA)
