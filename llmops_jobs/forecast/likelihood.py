"""ETS by maximum likelihood, from statsmodels, for the series that carry the spend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.members import WEEK, Parameters

Floats = NDArray[np.float64]


def maximum_likelihood(
    log: Floats, parameters: Parameters, series: int
) -> tuple[float, float, float, float] | None:
    """alpha, beta, gamma and phi of ETS(A,Ad,A) for one series, searched from the grid's choice;
    None where the search fails. First states are statsmodels' heuristic ones: estimating them
    costs six times as much and changes nothing that is forecast."""
    import warnings

    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    known = np.flatnonzero(~np.isnan(log))
    first = int(known[0])
    filled = _interpolated(log[first:], parameters.season[0, series], first)
    alpha, gamma = parameters.alpha[0, series], parameters.gamma[0, series]
    trend, phi = max(parameters.beta[0, series], 0.01), max(parameters.phi[0, series], 0.85)
    start = np.array([alpha, min(trend, alpha / 2), gamma, min(phi, 0.97)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            result = ETSModel(
                filled,
                error="add",
                trend="add",
                damped_trend=True,
                seasonal="add",
                seasonal_periods=WEEK,
                initialization_method="heuristic",
            ).fit(start_params=start, disp=0, maxiter=200)
    except (ValueError, np.linalg.LinAlgError):
        return None
    found = (float(result.alpha), float(result.beta), float(result.gamma), float(result.phi))
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
