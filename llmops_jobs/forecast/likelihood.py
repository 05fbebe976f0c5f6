"""ETS by maximum likelihood, from statsmodels, for the series that carry the spend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.members import WEEK, Parameters

Floats = NDArray[np.float64]


def maximum_likelihood(
    log: Floats, with_trend: bool, parameters: Parameters, series: int
) -> tuple[float, float, float, float] | None:
    """alpha, beta, gamma and phi of the pool's ETS for one series, searched from the grid's
    choice; None where the search fails. First states are statsmodels' heuristic ones: estimating
    them costs six times as much and changes nothing that is forecast."""
    import warnings

    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    known = np.flatnonzero(~np.isnan(log))
    first = int(known[0])
    filled = _interpolated(log[first:], parameters.season[0, series], first)
    start = [parameters.alpha[0, series], parameters.gamma[0, series]]
    if with_trend:
        trend, phi = max(parameters.beta[0, series], 0.01), max(parameters.phi[0, series], 0.85)
        start = [start[0], min(trend, start[0] / 2), start[1], min(phi, 0.97)]
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
            ).fit(start_params=np.array(start), disp=0, maxiter=200)
    except (ValueError, np.linalg.LinAlgError):
        return None
    beta, phi = (result.beta, result.phi) if with_trend else (0.0, 0.0)
    found = (float(result.alpha), float(beta), float(result.gamma), float(phi))
    return found if np.isfinite(found).all() else None


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
