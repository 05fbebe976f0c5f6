"""The score-card: every stored forecast against what came.

Scored at eight horizons from one day to four weeks, over the target days of the last 30 and 90
nights. The weighted interval score is that of Bracher et al. (2021) on seven quantiles; the MASE
is the mean absolute error over that of the seasonal naive forecast for the same days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from llmops_jobs.forecast.frames import LEVELS, QUANTILES
from llmops_jobs.forecast.history import COST, OTHER, TOKENS, History

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.store import Database

Floats = NDArray[np.float64]

HORIZONS = (1, 2, 3, 5, 7, 14, 21, 28)
WINDOWS = (30, 90)
_WEEK = 7
_SUMMED = (
    "n",
    "inside_50",
    "inside_80",
    "inside_95",
    "wis",
    "error",
    "naive_error",
    "signed",
    "actual",
)


def score_cards(
    database: Database, history: History, nights: Sequence[date]
) -> Iterator[tuple[date, pd.DataFrame]]:
    """For each night the rows of `forecast_score`; nothing made or come after it is read."""
    import pandas as pd

    first = min(nights) - timedelta(days=max(WINDOWS) - 1)
    scored = scored_forecasts(database, history, first, max(nights))
    if scored.empty:
        yield from ((night, pd.DataFrame()) for night in nights)
        return
    keys, table = _by_day(scored, first, (max(nights) - first).days + 1)
    running = np.concatenate([np.zeros((1, *table.shape[1:])), np.cumsum(table, axis=0)])
    came = np.concatenate([np.zeros((1, len(keys))), np.cumsum(table[:, :, 0] > 0, axis=0)])
    for night in nights:
        end = (night - first).days + 1
        frames = []
        for window in WINDOWS:
            begin = max(end - window, 0)
            frames.append(
                _card(keys, window, running[end] - running[begin], came[end] - came[begin])
            )
        yield night, pd.concat(frames, ignore_index=True)


def scored_forecasts(database: Database, history: History, first: date, last: date) -> pd.DataFrame:
    """Stored forecasts of the target days [first, last] that came, one row each, with the columns
    of `_SUMMED`, the key and the horizon."""
    stored = read_stored(database, history.project, first, last, HORIZONS)
    return score(stored, history)


def read_stored(
    database: Database, project: str, first: date, last: date, horizons: Sequence[int]
) -> pd.DataFrame:
    """Stored forecasts of tokens and cost for the target days [first, last]."""
    from llmops_jobs.store.tables.forecast import spend_forecast as stored

    names = ("as_of", "target_day", "scope", "metric", "horizon", *QUANTILES, "widened")
    query = sa.select(*(stored.c[name] for name in names)).where(
        stored.c.project_id == project,
        stored.c.as_of >= first - timedelta(days=max(horizons)),
        stored.c.as_of < last,
        stored.c.target_day >= first,
        stored.c.target_day <= last,
        stored.c.horizon.in_(tuple(horizons)),
        stored.c.metric.in_((COST, TOKENS)),
        ~stored.c.scope.like(f"%={OTHER}"),  # made of other values every night
    )
    return database.read(query)


def score(stored: pd.DataFrame, history: History) -> pd.DataFrame:
    """Adds what came; drops what did not come or was not copied."""
    stored = stored.assign(actual=_came(stored, history, "target_day", 0))
    stored = stored[stored["actual"].notna()]
    if stored.empty:
        return stored
    naive = _came(stored, history, "as_of", -_WEEK + 1)
    actual = stored["actual"].to_numpy()
    q = stored[list(QUANTILES)].to_numpy(dtype=np.float64)
    off = actual[:, None] - q
    pinball = np.maximum(np.array(LEVELS) * off, (np.array(LEVELS) - 1) * off)
    naive = np.where(np.isnan(naive), q[:, 3], naive)
    return stored.assign(
        n=1.0,
        inside_50=((actual >= q[:, 2]) & (actual <= q[:, 4])).astype(float),
        inside_80=((actual >= q[:, 1]) & (actual <= q[:, 5])).astype(float),
        inside_95=((actual >= q[:, 0]) & (actual <= q[:, 6])).astype(float),
        wis=2 * pinball.mean(axis=1),
        error=np.abs(off[:, 3]),
        naive_error=np.abs(actual - naive),
        signed=-off[:, 3],
    )


def _came(stored: pd.DataFrame, history: History, column: str, shift: int) -> Floats:
    """What came on `column` + `shift` days (for the seasonal naive: the same weekday of the last
    week seen), NaN outside the history."""
    values = np.full(len(stored), np.nan)
    days = np.array([history.index(day) for day in stored[column]], dtype=np.int64) + shift
    if column == "as_of":
        days += (stored["horizon"].to_numpy(dtype=np.int64) - 1) % _WEEK
    inside = (days >= 0) & (days < len(history.known))
    for (scope, metric), rows in stored.groupby(["scope", "metric"], sort=False).indices.items():
        series = history.scope(scope, metric)
        if series is not None:
            chosen = rows[inside[rows]]
            values[chosen] = series[days[chosen]]
    return values


def _by_day(scored: pd.DataFrame, first: date, days: int) -> tuple[list[tuple[str, str]], Floats]:
    """`(days, keys, statistics)` sums over the horizons."""
    codes = scored.groupby(["scope", "metric"], sort=True)
    keys = [(str(scope), str(metric)) for scope, metric in codes.groups]
    table = np.zeros((days, len(keys), len(_SUMMED)))
    row = np.array([(day - first).days for day in scored["target_day"]], dtype=np.int64)
    values = scored[list(_SUMMED)].to_numpy(dtype=np.float64)
    np.add.at(table, (row, codes.ngroup().to_numpy()), values)
    return keys, table


def _card(
    keys: Sequence[tuple[str, str]], window: int, sums: Floats, nights: Floats
) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(sums, columns=list(_SUMMED))
    frame["scope"] = [scope for scope, _ in keys]
    frame["metric"] = [metric for _, metric in keys]
    frame["nights"] = nights.astype(np.int64)
    frame = frame[frame["n"] > 0]
    n = frame["n"]
    return pd.DataFrame(
        {
            "scope": frame["scope"],
            "window": window,
            "metric": frame["metric"],
            "n": n.astype(np.int64),
            "nights": frame["nights"],
            "coverage_50": frame["inside_50"] / n,
            "coverage_80": frame["inside_80"] / n,
            "coverage_95": frame["inside_95"] / n,
            "wis": frame["wis"] / n,
            "mase": (frame["error"] / frame["naive_error"]).where(frame["naive_error"] > 0),
            "bias": (frame["signed"] / frame["actual"]).where(frame["actual"] > 0),
        }
    ).reset_index(drop=True)
