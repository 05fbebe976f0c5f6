"""A night's paths as rows of `spend_forecast` and `period_forecast`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.draws import Singles
from llmops_jobs.forecast.history import History
from llmops_jobs.forecast.nightly import Night
from llmops_jobs.forecast.periods import Period, next_period, period_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

_BLOCK = 32  # scopes sorted at a time: a copy of thousands would be as large as their paths
LEVELS = (0.025, 0.10, 0.25, 0.50, 0.75, 0.90, 0.975)
QUANTILES = ("p025", "p10", "p25", "p50", "p75", "p90", "p975")


def quantiles(paths: Singles | Floats) -> Floats:
    """`(7, …)` over the last axis of paths `(…, paths)`: order statistics, linear between."""
    count = paths.shape[-1]
    place = np.array(LEVELS) * (count - 1)
    low = np.floor(place).astype(int)
    part = place - low
    found = np.empty((len(LEVELS), *paths.shape[:-1]))
    for first in range(0, len(paths), _BLOCK):
        ordered = np.sort(paths[first : first + _BLOCK].astype(np.float32), axis=-1)
        spread = ordered[..., low] * (1 - part)
        spread += ordered[..., np.minimum(low + 1, count - 1)] * part
        found[:, first : first + _BLOCK] = np.moveaxis(spread, -1, 0)
    return found


def daily_rows(night: Night) -> pd.DataFrame:
    """One row per scope, target day and metric."""
    import pandas as pd

    spread = quantiles(night.values)  # (7, keys, horizon)
    horizon, count = night.horizon, len(night.keys)
    targets = [night.as_of + timedelta(days=ahead) for ahead in range(1, horizon + 1)]
    ahead = np.tile(np.arange(1, horizon + 1), count)
    columns: dict[str, object] = {
        "scope": np.repeat(np.array([scope for _, scope in night.keys], dtype=object), horizon),
        "target_day": pd.Series(targets * count, dtype=object),
        "metric": np.repeat(np.array([metric for metric, _ in night.keys], dtype=object), horizon),
        "horizon": ahead,
        "mean": night.values.mean(axis=2, dtype=np.float64).ravel(),
    }
    columns |= {name: values.ravel() for name, values in zip(QUANTILES, spread, strict=True)}
    columns["widened"] = np.repeat(night.widened, horizon)
    # Told once a series: a sentence on every row would be a fifth of the table.
    methods = np.repeat(np.array(night.method, dtype=object), horizon)
    columns["method"] = np.where(ahead == 1, methods, "")
    return pd.DataFrame(columns)


def period_rows(night: Night, history: History) -> pd.DataFrame:
    """Sums over the calendar weeks, months and quarters that the horizon reaches the end of."""
    import pandas as pd

    frames = []
    for period in periods(night):
        ahead = period.weights(night.as_of + timedelta(days=1), night.horizon)
        gone = period.weights(history.first, history.index(night.as_of) + 1)
        to_date, guess, missing = spent(history, night.past, gone)
        sums = (ahead.astype(np.float32) @ night.values).astype(np.float64)  # (keys, paths)
        known = to_date + guess
        columns: dict[str, object] = {
            "scope": [scope for _, scope in night.keys],
            "period": period.label,
            "metric": [metric for metric, _ in night.keys],
            "to_date": to_date,
            "mean": sums.mean(axis=1) + known,
            "days_missing": missing,
        }
        spread = quantiles(sums) + known
        columns |= dict(zip(QUANTILES, spread, strict=True))
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def periods(night: Night) -> list[Period]:
    """Of the day after `as_of` and the month after; those that end beyond the horizon are out."""
    tomorrow = night.as_of + timedelta(days=1)
    last = night.as_of + timedelta(days=night.horizon)
    month = period_of(tomorrow, "month")
    found = [period_of(tomorrow, "week"), month, next_period(month), period_of(tomorrow, "quarter")]
    return [period for period in found if period.end - timedelta(days=1) <= last]


def spent(history: History, past: Floats, weights: Floats) -> tuple[Floats, Floats, int]:
    """Of a period, up to the night, for every column of `(days, series)`: what was spent, what the
    days that were not copied are guessed to have cost (the mean day of the last four weeks), and
    their number.

    `weights` are the period's for the same days.
    """
    end = len(weights)
    to_date = weights @ np.nan_to_num(past)
    begin = max(int(np.argmax(weights > 0)), history.began) if weights.any() else end
    missing = history.missing(begin, end)
    if not missing:
        return to_date, np.zeros_like(to_date), 0
    recent = past[-28:]
    mean = np.nansum(recent, axis=0) / np.maximum((~np.isnan(recent)).sum(axis=0), 1)
    return to_date, mean * (weights[begin:] @ np.isnan(past[begin:])), missing
