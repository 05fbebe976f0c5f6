"""What did not fit last night: actuals against the one-day-ahead forecast, over all series.

The forecast is stored as seven quantiles; beyond them its tails are taken as Student-t with five
degrees of freedom on the log scale, each side with its own width. The p-values of a night are
adjusted over all its series (Benjamini & Hochberg 1995), so that 5 % of what is reported is
expected to be chance, however many tenants there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.contribution import explain
from llmops_jobs.forecast.frames import QUANTILES
from llmops_jobs.forecast.history import COST, TOKENS, History
from llmops_jobs.forecast.scorecard import read_stored
from llmops_jobs.forecast.settings import ForecastSettings

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.store import Database

Floats = NDArray[np.float64]

_OLDEST = 7  # days ahead of the forecast that is used where last night's was not made
_TAIL = 5
_YOUNG = 7  # days of history before which nothing is called unusual
_NEW_SHARE = 0.05  # of the day's total from which a new series is told
_NEW_AFTER = 14  # days of history before which everything is new


def anomalies(
    database: Database, history: History, nights: Sequence[date], settings: ForecastSettings
) -> Iterator[tuple[date, pd.DataFrame]]:
    """For each night the rows of `anomaly`."""
    import pandas as pd

    stored = read_stored(
        database, history.project, min(nights), max(nights), tuple(range(1, _OLDEST + 1))
    )
    by_day = dict(list(stored.sort_values("horizon").groupby("target_day")))
    for night in nights:
        rows = _unusual(by_day.get(night), history, night, settings) + _new(history, night)
        if rows:
            causes = explain(database, history.project, night, rows)
            rows = [row | {"cause": cause} for row, cause in zip(rows, causes, strict=True)]
        yield night, pd.DataFrame(rows)


def p_values(actual: Floats, quantiles: Floats) -> Floats:
    """Two-sided p-values of `(n,)` actuals under `(n, 7)` quantiles, tails as said above."""
    from scipy.stats import t

    middle = np.maximum(quantiles[:, 3], 0.0)
    offset = 0.02 * middle + 1e-12
    log = np.log(np.maximum(quantiles, 0.0) + offset[:, None])
    value = np.log(np.maximum(actual, 0.0) + offset)
    up = value >= log[:, 3]
    reach = t.ppf([0.75, 0.9, 0.975], _TAIL)
    above = ((log[:, 4:] - log[:, 3:4]) / reach).mean(axis=1)
    below = ((log[:, 3:4] - log[:, 2::-1]) / reach).mean(axis=1)
    width = np.maximum(np.where(up, above, below), 0.02)
    return np.asarray(np.minimum(2 * t.sf(np.abs(value - log[:, 3]) / width, _TAIL), 1.0))


def _unusual(
    stored: pd.DataFrame | None, history: History, night: date, settings: ForecastSettings
) -> list[dict[str, Any]]:
    from scipy.stats import false_discovery_control

    if stored is None or not history.known[history.index(night)]:
        return []
    newest = stored.drop_duplicates(["scope", "metric"])
    values = []
    for scope, metric in zip(newest["scope"], newest["metric"], strict=True):
        series = history.scope(scope, metric)
        values.append(np.nan if series is None else _testable(series, history.index(night)))
    newest = newest.assign(value=values).dropna(subset=["value"])
    if newest.empty:
        return []
    actual = newest["value"].to_numpy(dtype=np.float64)
    quantiles = newest[list(QUANTILES)].to_numpy(dtype=np.float64)
    adjusted = false_discovery_control(p_values(actual, quantiles), method="bh")
    whole = {
        metric: max(float(history.total[metric][history.index(night)]), 0.0)
        for metric in (COST, TOKENS)
    }
    rows = []
    for at, (scope, metric) in enumerate(zip(newest["scope"], newest["metric"], strict=True)):
        expected = quantiles[at, 3]
        matters = abs(actual[at] - expected) >= settings.anomaly_share * max(
            whole[metric], expected
        )
        if adjusted[at] <= settings.anomaly_fdr and matters:
            rows.append(
                {
                    "scope": scope,
                    "metric": metric,
                    "kind": "spike" if actual[at] > expected else "drop",
                    "value": actual[at],
                    "expected": expected,
                    "low": quantiles[at, 0],
                    "high": quantiles[at, 6],
                    "p_value": float(adjusted[at]),
                }
            )
    return rows


def _testable(series: Floats, at: int) -> float:
    """The day's amount, NaN where the series is younger than a week: its forecast is a guess."""
    used = np.flatnonzero(np.nan_to_num(series[:at]) > 0)
    return float(series[at]) if len(used) and at - used[0] >= _YOUNG else np.nan


def _new(history: History, night: date) -> list[dict[str, Any]]:
    """Values used for the first time: no forecast exists, so their share of the day decides."""
    end = history.index(night)
    if end - history.began < _NEW_AFTER or not history.known[end]:
        return []
    rows = []
    for dimension, block in history.blocks.items():
        amounts = block.amounts[COST]
        begin = max(0, end - 90)
        first = (np.nansum(block.amounts[TOKENS][begin:end], axis=0) == 0) & (amounts[end] > 0)
        for at in np.flatnonzero(
            first & (amounts[end] >= _NEW_SHARE * max(history.total[COST][end], 1e-12))
        ):
            rows.append(
                {
                    "scope": f"{dimension}={block.values[at]}",
                    "metric": COST,
                    "kind": "new",
                    "value": float(amounts[end, at]),
                    "expected": 0.0,
                    "low": 0.0,
                    "high": 0.0,
                    "p_value": None,
                }
            )
    return rows
