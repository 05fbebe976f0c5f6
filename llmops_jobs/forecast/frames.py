"""A night's paths as rows of `spend_forecast` and `period_forecast`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.history import OTHER, TOTAL, History
from llmops_jobs.forecast.nightly import Night
from llmops_jobs.forecast.periods import Period, next_period, period_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

LEVELS = (0.025, 0.10, 0.25, 0.50, 0.75, 0.90, 0.975)
QUANTILES = ("p025", "p10", "p25", "p50", "p75", "p90", "p975")


def quantiles(paths: Floats) -> Floats:
    """`(7, …)` over axis -2 of paths `(…, paths, horizon)`: order statistics, linear between."""
    ordered = np.sort(paths.astype(np.float32), axis=-2)
    count = paths.shape[-2]
    place = np.array(LEVELS) * (count - 1)
    low = np.floor(place).astype(int)
    part = (place - low)[:, None]
    found = np.take(ordered, low, axis=-2) * (1 - part)
    found += np.take(ordered, np.minimum(low + 1, count - 1), axis=-2) * part
    return np.moveaxis(found, -2, 0).astype(np.float64)


def daily_rows(night: Night) -> pd.DataFrame:
    """One row per scope, target day and metric."""
    import pandas as pd

    keys = [(metric, scope) for metric, scopes in night.paths.items() for scope in scopes]
    stacked = np.stack([night.paths[metric][scope] for metric, scope in keys])
    spread = quantiles(stacked)  # (7, series, horizon)
    horizon = night.horizon
    targets = [night.as_of + timedelta(days=ahead) for ahead in range(1, horizon + 1)]
    columns: dict[str, object] = {
        "scope": np.repeat([scope for _, scope in keys], horizon).astype(object),
        "target_day": targets * len(keys),
        "metric": np.repeat([metric for metric, _ in keys], horizon).astype(object),
        "horizon": np.tile(np.arange(1, horizon + 1), len(keys)),
        "mean": stacked.mean(axis=1).ravel(),
    }
    columns |= {name: values.ravel() for name, values in zip(QUANTILES, spread, strict=True)}
    columns["widened"] = np.repeat([night.widened.get(key, 1.0) for key in keys], horizon)
    # Told once a series: a sentence on every row would be a fifth of the table.
    first = columns["horizon"] == np.ones(1, dtype=np.int64)
    methods = np.repeat([night.method[key] for key in keys], horizon).astype(object)
    columns["method"] = np.where(first, methods, "")
    return pd.DataFrame(columns)


def period_rows(night: Night, history: History) -> pd.DataFrame:
    """Sums over the calendar weeks, months and quarters that the horizon reaches the end of."""
    import pandas as pd

    rows = []
    for period in periods(night):
        weights = period.weights(night.as_of + timedelta(days=1), night.horizon)
        gone = period.weights(history.first, history.index(night.as_of) + 1)
        for metric, scopes in night.paths.items():
            for scope, paths in scopes.items():
                to_date, guess, missing = spent(history, night, scope, metric, gone)
                sums = paths @ weights + to_date + guess
                row = {
                    "scope": scope,
                    "period": period.label,
                    "metric": metric,
                    "to_date": to_date,
                    "mean": float(sums.mean()),
                    "days_missing": missing,
                }
                rows.append(row | dict(zip(QUANTILES, np.quantile(sums, LEVELS), strict=True)))
    return pd.DataFrame(rows)


def periods(night: Night) -> list[Period]:
    """Of the day after `as_of` and the month after; those that end beyond the horizon are out."""
    tomorrow = night.as_of + timedelta(days=1)
    last = night.as_of + timedelta(days=night.horizon)
    month = period_of(tomorrow, "month")
    found = [period_of(tomorrow, "week"), month, next_period(month), period_of(tomorrow, "quarter")]
    return [period for period in found if period.end - timedelta(days=1) <= last]


def spent(
    history: History, night: Night, scope: str, metric: str, weights: Floats
) -> tuple[float, float, int]:
    """Of a period, up to `as_of`: what was spent, what the days that were not copied are guessed
    to have cost (the mean day of the last four weeks), and their number.

    `weights` are the period's for the days from the first to `as_of`.
    """
    end = len(weights)
    series = _series(history, scope, metric, night)[:end]
    begin = max(int(np.argmax(weights > 0)), history.began) if weights.any() else end
    missing = history.missing(begin, end)
    mean = float(np.nanmean(series[-28:])) if np.isfinite(series[-28:]).any() else 0.0
    absent = np.isnan(series[begin:])
    guess = float(mean * weights[begin:][absent].sum()) if missing else 0.0
    return float(np.nansum(series * weights)), guess, missing


def _series(history: History, scope: str, metric: str, night: Night) -> Floats:
    dimension, _, value = scope.partition("=")
    if value != OTHER:
        found = history.scope(scope, metric)
        return history.total[metric] * 0.0 if found is None else found
    parts = [
        _series(history, name, metric, night)
        for name in night.paths[metric]
        if name.startswith(f"{dimension}=") and name != scope
    ]
    rest: Floats = history.scope(TOTAL, metric) - np.sum(parts, axis=0)
    return np.maximum(rest, 0.0)
