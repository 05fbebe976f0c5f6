"""Intervals that mean what they say: widened or narrowed by how the stored forecasts turned out.

For every stored forecast whose day has come, the distance of the actual from the median is measured
in units of its own 80 % half-interval, on the log scale, before any earlier correction. The 80 %
quantile of that distance is the factor that would have made 80 % of the intervals hold: split
conformal prediction (Vovk et al. 2005) over the past nights, newer nights weighing more, so that
it adapts after a change of regime (Gibbs & Candes 2021). One scope alone has few nights: its
factor is drawn towards that of all scopes, and that towards 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.history import OTHER, History
from llmops_jobs.forecast.scorecard import read_stored, score

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.store import Database

Floats = NDArray[np.float64]

HORIZONS = (1, 2, 3, 5, 7)
NIGHTS = 60  # that are looked back on
_HALF_LIFE = 21.0
_LEVEL = 0.80
_SCOPE_NIGHTS = 15.0  # nights at which a scope's own record weighs as much as everyone's
_POOL_NIGHTS = 10.0  # nights at which the record of all weighs as much as no correction
_LEAST, _MOST = 0.6, 2.5


class Calibration:
    """The record of one project: what is stored before the first night, and what is added."""

    def __init__(self, database: Database, history: History, first: date) -> None:
        self._history = history
        stored = read_stored(
            database, history.project, first - timedelta(days=NIGHTS), first, HORIZONS
        )
        # Forecasts made before the first night for days that had not come by then, too.
        ahead = read_stored(
            database,
            history.project,
            first + timedelta(days=1),
            first + timedelta(days=max(HORIZONS)),
            HORIZONS,
        )
        ahead = ahead[ahead["as_of"] < first] if len(ahead) else ahead
        self._ahead = [frame for frame in (stored, ahead) if len(frame)]
        self._came: list[pd.DataFrame] = []

    def add(self, as_of: date, daily: pd.DataFrame) -> None:
        """Takes in a night's rows of `spend_forecast`."""
        chosen = daily[
            daily["horizon"].isin(HORIZONS)
            & daily["metric"].isin(("cost_usd", "tokens"))
            & ~daily["scope"].str.endswith(f"={OTHER}")
        ]
        self._ahead.append(chosen.assign(as_of=as_of))

    def factors(self, as_of: date) -> Mapping[tuple[str, str], float]:
        """(metric, scope) -> factor on the interval, from what had come by the end of a day."""
        import pandas as pd

        if self._ahead:
            rows = pd.concat(self._ahead, ignore_index=True)
            due = rows["target_day"] <= as_of
            self._ahead = [rows[~due]]
            self._came.append(score(rows[due], self._history))
        oldest = as_of - timedelta(days=NIGHTS)
        self._came = [rows[rows["target_day"] > oldest] for rows in self._came if len(rows)]
        came = pd.concat(self._came, ignore_index=True) if self._came else pd.DataFrame()
        return _factors(came, as_of) if len(came) else {}


def _factors(came: pd.DataFrame, as_of: date) -> dict[tuple[str, str], float]:
    distance = _distance(came)
    age = np.array([(as_of - day).days for day in came["target_day"]], dtype=np.float64)
    weight = 0.5 ** (age / _HALF_LIFE)
    factors: dict[tuple[str, str], float] = {}
    for metric, rows in came.groupby("metric").indices.items():
        every = _weighted_quantile(distance[rows], weight[rows])
        nights = len(np.unique(age[rows]))
        pool = np.log(every) * nights / (nights + _POOL_NIGHTS)
        for scope, inside in came.iloc[rows].groupby("scope").indices.items():
            own = rows[inside]
            seen = len(np.unique(age[own]))
            log = np.log(_weighted_quantile(distance[own], weight[own]))
            log = (seen * log + _SCOPE_NIGHTS * pool) / (seen + _SCOPE_NIGHTS)
            factors[str(metric), str(scope)] = float(np.clip(np.exp(log), _LEAST, _MOST))
    return factors


def _distance(came: pd.DataFrame) -> Floats:
    """|actual - median| over the half-interval on that side, on the log scale, uncorrected."""
    low, middle, high, actual = (
        came[name].to_numpy(dtype=np.float64) for name in ("p10", "p50", "p90", "actual")
    )
    offset = 0.02 * np.maximum(middle, 0.0) + 1e-12
    log = [np.log(np.maximum(x, 0.0) + offset) for x in (low, middle, high, actual)]
    half = np.where(log[3] >= log[1], log[2] - log[1], log[1] - log[0])
    corrected = came["widened"].fillna(1.0).to_numpy(dtype=np.float64)
    return np.asarray(np.abs(log[3] - log[1]) / np.maximum(half, 1e-3) * corrected)


def _weighted_quantile(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    at = int(np.searchsorted(cumulative, _LEVEL * cumulative[-1]))
    return float(max(values[order][min(at, len(values) - 1)], 0.05))
