"""Intervals that mean what they say: widened or narrowed by how the stored forecasts turned out.

For every stored forecast whose day has come, the distance of the actual from the median is measured
in units of its own 80 % half-interval, on the log scale, before any earlier correction. The 80 %
quantile of that distance is the factor that would have made 80 % of the intervals hold: split
conformal prediction (Vovk et al. 2005) over the past nights, newer nights weighing more, so that
it adapts after a change of regime (Gibbs & Candes 2021). One scope alone has few nights: its
factor is drawn towards that of all scopes, and that towards 1. Scopes in their first three weeks
have a factor of their own to be drawn to, which is that of a scope without any record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.history import COST, OTHER, TOKENS, History
from llmops_jobs.forecast.nightly import Night
from llmops_jobs.forecast.scopes import Key
from llmops_jobs.forecast.scorecard import read_stored

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.store import Database

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HORIZONS = (1, 2, 3, 5, 7)
NIGHTS = 60  # that are looked back on
_HALF_LIFE = 21.0
_LEVEL = 0.80
_SCOPE_NIGHTS = 15.0  # nights at which a scope's own record weighs as much as everyone's
_POOL_NIGHTS = 10.0  # nights at which the record of all weighs as much as no correction
_YOUNG = 21  # days since its first use within which a scope is young
_LEAST, _MOST = 0.6, 2.5


@dataclass(frozen=True)
class _Record:
    """Forecasts, one an element: what of, of which day (row of the history), and what was said."""

    key: Integers
    day: Integers
    low: Floats
    middle: Floats
    high: Floats
    widened: Floats

    def those(self, chosen: NDArray[np.bool_]) -> _Record:
        return _Record(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @staticmethod
    def together(records: list[_Record]) -> _Record:
        return _Record(
            *(np.concatenate([getattr(r, f.name) for r in records]) for f in fields(_Record))
        )


class Calibration:
    """The record of one project: what is stored before the first night, and what is added."""

    def __init__(self, database: Database, history: History, first: date) -> None:
        self._history = history
        self._keys: dict[Key, int] = {}
        self._begun: list[int] = []  # per key the row of its first use
        # Made before the first night: for days that had come by then, and for days that had not.
        oldest, newest = first - timedelta(days=NIGHTS), first + timedelta(days=max(HORIZONS))
        stored = read_stored(database, history.project, oldest, newest, HORIZONS)
        made = np.array([day < first for day in stored["as_of"]], dtype=np.bool_)
        self._ahead = [self._read(stored[made])]
        self._came_key, self._came_day = (np.empty(0, dtype=np.int64) for _ in range(2))
        self._distance = np.empty(0)

    def add(self, night: Night, daily: pd.DataFrame) -> None:
        """Takes in a night and its rows of `spend_forecast`."""
        chosen = [
            (at, self._number(key))
            for at, key in enumerate(night.keys)
            if key[0] in (COST, TOKENS) and not key[1].endswith(f"={OTHER}")
        ]
        ahead = np.array([each for each in HORIZONS if each <= night.horizon])
        rows = (np.array([at for at, _ in chosen])[:, None] * night.horizon + ahead - 1).ravel()
        low, middle, high, widened = (
            daily[name].to_numpy(dtype=np.float64)[rows]
            for name in ("p10", "p50", "p90", "widened")
        )
        key = np.repeat(np.array([number for _, number in chosen]), len(ahead))
        day = np.tile(self._history.index(night.as_of) + ahead, len(chosen))
        self._ahead.append(_Record(key, day, low, middle, high, widened))

    def factors(self, as_of: date) -> Mapping[Key, float]:
        """(metric, scope) -> factor on the interval, from what had come by the end of a day."""
        today = self._history.index(as_of)
        record = _Record.together(self._ahead)
        due = record.day <= today
        self._ahead = [record.those(~due)]
        self._take(record.those(due))
        recent = self._came_day > today - NIGHTS
        self._came_key, self._came_day = self._came_key[recent], self._came_day[recent]
        self._distance = self._distance[recent]
        return self._factors(today)

    def _number(self, key: Key) -> int:
        if key not in self._keys:
            self._keys[key] = len(self._keys)
            series = self._history.scope(key[1], key[0])
            used = np.flatnonzero([] if series is None else np.nan_to_num(series) > 0)
            self._begun.append(int(used[0]) if len(used) else -_YOUNG)
        return self._keys[key]

    def _read(self, stored: pd.DataFrame) -> _Record:
        keys = zip(stored["metric"], stored["scope"], strict=True)
        number = [self._number((str(metric), str(scope))) for metric, scope in keys]
        day = [self._history.index(each) for each in stored["target_day"]]
        columns = [stored[name] for name in ("p10", "p50", "p90")] + [stored["widened"].fillna(1.0)]
        return _Record(
            np.array(number, dtype=np.int64),
            np.array(day, dtype=np.int64),
            *(column.to_numpy(dtype=np.float64) for column in columns),
        )

    def _take(self, due: _Record) -> None:
        """Compares with what came; a day that was not copied says nothing."""
        names = list(self._keys)
        actual = np.full(len(due.key), np.nan)
        inside = (due.day >= 0) & (due.day < len(self._history.known))
        for number in np.unique(due.key[inside]).tolist():
            metric, scope = names[number]
            series = self._history.scope(scope, metric)
            if series is not None:
                own = inside & (due.key == number)
                actual[own] = series[due.day[own]]
        known = ~np.isnan(actual)
        distance = _distance(due.those(known), actual[known])
        self._came_key = np.concatenate([self._came_key, due.key[known]])
        self._came_day = np.concatenate([self._came_day, due.day[known]])
        self._distance = np.concatenate([self._distance, distance])

    def _factors(self, today: int) -> dict[Key, float]:
        weight = 0.5 ** ((today - self._came_day) / _HALF_LIFE)
        names, begun = list(self._keys), np.array(self._begun, dtype=np.int64)
        metrics = np.array([metric for metric, _ in names], dtype=object)
        factors: dict[Key, float] = {}
        for metric in (COST, TOKENS):
            rows = np.flatnonzero(metrics[self._came_key] == metric) if names else np.empty(0, int)
            if not len(rows):
                continue
            distance, key, day = self._distance[rows], self._came_key[rows], self._came_day[rows]
            young = _young(day - begun[key])
            all_of = _drawn(distance, weight[rows], day, 0.0)
            young_of = _drawn(distance[young], weight[rows][young], day[young], all_of)
            for scope, first in self._first_used(metric, today):
                drawn = young_of if _young(today - first) else all_of
                factors[metric, scope] = float(np.exp(drawn))
            present, own = _weighted_quantiles(key, distance, weight[rows])
            pairs = np.unique(np.stack([key, day]), axis=1)[0]
            seen = np.searchsorted(pairs, present, "right") - np.searchsorted(pairs, present)
            to = np.where(_young(today - begun[present]), young_of, all_of)
            log = (seen * np.log(own) + _SCOPE_NIGHTS * to) / (seen + _SCOPE_NIGHTS)
            found = np.clip(np.exp(log), _LEAST, _MOST).tolist()
            factors |= {names[at]: factor for at, factor in zip(present, found, strict=True)}
        return factors

    def _first_used(self, metric: str, today: int) -> list[tuple[str, int]]:
        """Every value that was used by a day: its scope, and the row of its first use."""
        found = []
        for dimension, block in self._history.blocks.items():
            used = np.nan_to_num(block.amounts[metric][: today + 1]) > 0
            rows = used.argmax(axis=0)
            found += [
                (f"{dimension}={block.values[at]}", int(rows[at]))
                for at in np.flatnonzero(used.any(axis=0)).tolist()
            ]
        return found


def _young(age: Any) -> Any:
    """A scope that is first used later on, as a backfill may see, is not young before that."""
    return (age >= 0) & (age < _YOUNG)


def _drawn(distance: Floats, weight: Floats, day: Integers, towards: float) -> float:
    """The log factor of a record, drawn towards another by how few its nights are."""
    if not len(distance):
        return towards
    _, pool = _weighted_quantiles(np.zeros(len(distance), dtype=np.int64), distance, weight)
    nights = len(np.unique(day))
    log = (nights * np.log(pool[0]) + _POOL_NIGHTS * towards) / (nights + _POOL_NIGHTS)
    return float(np.clip(log, np.log(_LEAST), np.log(_MOST)))


def _distance(said: _Record, actual: Floats) -> Floats:
    """|actual - median| over the half-interval on that side, on the log scale, uncorrected."""
    offset = 0.02 * np.maximum(said.middle, 0.0) + 1e-12
    low, middle, high, came = (
        np.log(np.maximum(x, 0.0) + offset) for x in (said.low, said.middle, said.high, actual)
    )
    half = np.where(came >= middle, high - middle, middle - low)
    return np.asarray(np.abs(came - middle) / np.maximum(half, 1e-3) * said.widened)


def _weighted_quantiles(
    group: Integers, values: Floats, weights: Floats
) -> tuple[Integers, Floats]:
    """The groups present, and for each its weighted 80 % quantile, at least 0.05."""
    order = np.lexsort((values, group))
    group, values, cumulative = group[order], values[order], np.cumsum(weights[order])
    present, first = np.unique(group, return_index=True)
    last = np.append(first[1:], len(group)) - 1
    before = np.where(first > 0, cumulative[first - 1], 0.0)
    at = np.searchsorted(cumulative, before + _LEVEL * (cumulative[last] - before))
    return present, np.maximum(values[np.clip(at, first, last)], 0.05)
