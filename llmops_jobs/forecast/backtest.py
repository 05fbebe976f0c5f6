"""The rolling-origin back-test: how far off each member was from every recent day, no refit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.members import Parameters, States, ahead, responses

Floats = NDArray[np.float64]


def rolling_errors(
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


def combination(errors: Floats, known: NDArray[np.bool_], belief: Floats) -> Floats:
    """Weights `(members, series)`, sum 1: the belief before the test over the mean squared error
    in it (Bates & Granger 1969)."""
    squared = np.minimum(errors**2, 9.0).sum(axis=(0, 1))
    count = known.sum(axis=(0, 1))
    mse = squared / np.maximum(count, 1) + 1e-9
    weights = belief / mse
    result: Floats = weights / weights.sum(axis=0)
    return result


def error_scale(
    log: Floats, states: States, parameters: Parameters, weights: Floats, horizon: int
) -> Floats:
    """Per horizon: root mean squared error of the combination in the back-test over the error that
    its psi-weights imply, shrunk to 1 by the number of origins, within [0.7, 2.5]."""
    errors, known = rolling_errors(log, states, parameters, horizon)
    combined = (errors * weights).sum(axis=2)
    count = known.sum(axis=0)
    rmse = np.sqrt((combined**2).sum(axis=0) / np.maximum(count, 1))
    psi = (responses(parameters, horizon).mean(axis=0) * weights).sum(axis=1)
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
