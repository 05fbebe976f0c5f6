"""Parameters of the pool, chosen on the past: by statsmodels where it matters, else on a grid.

A fit is made once a week and kept; on other nights only the states move on. It is a function of
the days up to the fit alone, so a backfill repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.members import (
    WEEK,
    Parameters,
    States,
    ahead,
    damping,
    responses,
    run,
)
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
_NEAR = (-3, -2, -1, 1, 2, 3)  # days around one that make a week
_WEEKDAY_VARIANCE = 0.25  # of logs, as much as weekdays differ by before there is evidence
_TURNS = 4
_SHARPNESS = 2.0  # weights go with (mean squared error) ** -sharpness

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
        _statsmodels_ets(log[:, series], observed[series] >= WITH_TREND, parameters, series)
    states = run(log, parameters, keep=_ORIGINS + LONGEST)
    errors, known = _rolling_errors(log, states, parameters, _TEST_HORIZON)
    weights = _weights(errors, known, observed)
    return Fit(parameters, weights, _scale(log, states, parameters, weights, LONGEST))


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


def _statsmodels_ets(
    log: Floats, with_trend: bool, parameters: Parameters, series: np.intp
) -> None:
    """Maximum likelihood by statsmodels, from its own heuristic start; the grid's choice stays
    where that fails."""
    import warnings

    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    known = np.flatnonzero(~np.isnan(log))
    first = int(known[0])
    filled = _interpolated(log[first:], parameters.season[0, series], first)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            result = ETSModel(
                filled,
                error="add",
                trend="add" if with_trend else None,
                damped_trend=with_trend,
                seasonal="add",
                seasonal_periods=WEEK,
                initialization_method="heuristic",
            ).fit(disp=0, maxiter=200)
    except (ValueError, np.linalg.LinAlgError):
        return
    values = [result.alpha, result.beta if with_trend else 0.0, result.gamma]
    phi = result.phi if with_trend else 0.0
    if not np.isfinite([*values, phi]).all():
        return
    member = 0
    parameters.alpha[member, series], parameters.beta[member, series] = values[0], values[1]
    parameters.gamma[member, series], parameters.phi[member, series] = values[2], phi


def _interpolated(log: Floats, season: Floats, first: int) -> Floats:
    """Gaps filled along the deseasonalised course, because ETSModel takes no NaN."""
    gaps = np.isnan(log)
    if not gaps.any():
        return log
    weekday = season[(first + np.arange(len(log))) % WEEK]
    flat = log - weekday
    days = np.arange(len(log))
    flat[gaps] = np.interp(days[gaps], days[~gaps], flat[~gaps])
    return flat + weekday


def _rolling_errors(
    log: Floats, states: States, parameters: Parameters, horizon: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Errors from every kept day: `(kept, horizon, members, series)`, 0 where unknown."""
    forecasts = ahead(states, parameters, horizon)
    kept = len(states.level)
    target = states.last - kept + 1 + np.arange(kept)[:, None] + np.arange(1, horizon + 1)
    inside = target <= states.last
    actual = np.where(inside[:, :, None], log[np.minimum(target, states.last)], np.nan)
    # A forecast from before the first amount is none.
    begun = np.maximum.accumulate(~np.isnan(log), axis=0)[states.last - kept + 1 :]
    known = ~np.isnan(actual) & begun[:, None]
    errors = np.where(known[:, :, None], actual[:, :, None] - forecasts, 0.0)
    return errors, known


def _weights(errors: Floats, known: NDArray[np.bool_], observed: NDArray[np.int64]) -> Floats:
    squared = np.minimum(errors**2, 9.0).sum(axis=(0, 1))
    count = known.sum(axis=(0, 1))
    mse = squared / np.maximum(count, 1) + 1e-9
    weights = mse**-_SHARPNESS
    allowed = np.ones_like(weights, dtype=np.bool_)
    allowed[0] = observed >= WITH_ETS
    allowed[2] = observed >= WITH_ETS
    allowed[3] = observed >= WITH_ETS
    weights = np.where(allowed, weights, 0.0)
    result: Floats = weights / weights.sum(axis=0)
    return result


def _scale(
    log: Floats, states: States, parameters: Parameters, weights: Floats, horizon: int
) -> Floats:
    """Per horizon: root mean squared error of the combination in the back-test over the error that
    its psi-weights imply, shrunk to 1 by the number of origins, within [0.7, 2.5]."""
    errors, known = _rolling_errors(log, states, parameters, horizon)
    combined = (errors * weights).sum(axis=2)
    count = known.sum(axis=0)
    rmse = np.sqrt((combined**2).sum(axis=0) / np.maximum(count, 1))
    psi = (responses(parameters, horizon) * weights).sum(axis=1)
    one = np.maximum(rmse[:1], 1e-9)
    implied = one * np.sqrt(np.cumsum(psi**2, axis=0))
    ratio = np.clip(rmse / implied, 0.7, 2.5)
    # Overlapping forecasts: h-day errors carry about count / h independent looks.
    looks = count / np.arange(1, horizon + 1)[:, None]
    trust = looks / (looks + 2.0)
    ratio = np.where(count > 0, ratio**trust, np.nan)
    return _carried_forward(ratio)


def _carried_forward(ratio: Floats) -> Floats:
    """Horizons that the past is too short to test get the ratio of the longest one tested."""
    filled = ratio.copy()
    filled[0] = np.nan_to_num(filled[0], nan=1.0)
    for step in range(1, len(filled)):
        filled[step] = np.where(np.isnan(filled[step]), filled[step - 1], filled[step])
    return filled
