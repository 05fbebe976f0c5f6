"""The forecasts of many nights: each sees its own past only, the history is read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast import engine, spread
from llmops_jobs.forecast.coherence import reconcile
from llmops_jobs.forecast.draws import Singles
from llmops_jobs.forecast.history import COST, METRICS, TOKEN_TYPES, TOKENS, TOTAL, History
from llmops_jobs.forecast.holidays import effect, rows_of
from llmops_jobs.forecast.prices import PriceChanges
from llmops_jobs.forecast.scopes import Columns, Key, columns, dimensions_of
from llmops_jobs.forecast.settings import ForecastSettings
from llmops_jobs.forecast.threads import one_thread

Floats = NDArray[np.float64]

REFIT_WEEKDAY = 6  # Sunday: parameters are chosen on the days up to it and kept for a week
_RECENT = 28


@dataclass(frozen=True)
class Night:
    """The forecast as of a day. The scopes of a dimension add up to the total in every path."""

    as_of: date
    horizon: int
    keys: list[Key]  # (metric, scope)
    values: Singles  # (keys, horizon, paths), the first day the one after `as_of`
    past: Floats  # (days, keys): what was spent, from the first day of the history to `as_of`
    method: list[str]  # per key: the models; then what was corrected first, each after a `; `
    widened: Floats  # (keys,): factor on the interval

    def paths(self, metric: str, scope: str) -> Singles | None:
        """`(horizon, paths)`, None where the scope is not forecast."""
        key = (metric, scope)
        return self.values[self.keys.index(key)] if key in self.keys else None


@dataclass
class Forecaster:
    """Makes the nights of one project, in any order; keeps the parameters of the newest week."""

    history: History
    settings: ForecastSettings
    extra_scopes: Collection[str] = ()
    prices: PriceChanges | None = None  # known changes of price, past and to come
    holidays: frozenset[date] = frozenset()
    _fits: dict[date, tuple[list[Key], engine.Fit]] = field(default_factory=dict)

    def night(
        self,
        as_of: date,
        horizon: int,
        metrics: Sequence[str] = METRICS,
        widen: Mapping[Key, float] | None = None,
    ) -> Night | None:
        """The forecast as of a day, None where nothing was ever used up to it."""
        end = self.history.index(as_of) + 1
        if end <= 0 or not np.nansum(self.history.total[TOKENS][:end]) > 0:
            return None
        chosen = self._columns(metrics, end)
        keys = list(chosen)
        widened = np.array([(widen or {}).get(key, 1.0) for key in keys])
        with one_thread():
            result = engine.forecast(
                self._comparable(chosen, end),
                [f"{metric}:{scope}" for metric, scope in keys],
                horizon,
                seed=self.settings.seed,
                fitted=self._fit(chosen, as_of),
                widen=widened,
                paths=self.settings.paths,
            )
        past = self._spent(chosen, end)
        self._reprice(chosen, result.values, past, end)
        self._keep_holidays(keys, result.values, end)
        _add_up(keys, result.values)
        return Night(as_of, horizon, keys, result.values, past, _methods(result, as_of), widened)

    def _columns(self, metrics: Sequence[str], end: int) -> Columns:
        return columns(self.history, self.settings, self.extra_scopes, metrics, end)

    def _fit(self, chosen: Columns, as_of: date) -> engine.Fit:
        """Parameters chosen on the days up to the last Sunday, whichever night asks first."""
        refit = as_of - timedelta(days=(as_of.weekday() - REFIT_WEEKDAY) % 7)
        known, fitted = self._fits.get(refit, ([], None))
        new = [key for key in chosen if key not in known]
        if new or fitted is None:
            end = max(self.history.index(refit) + 1, 1)
            then = self._columns(list(dict.fromkeys(metric for metric, _ in new)), end)
            amounts = self._comparable({key: then.get(key, chosen[key]) for key in new}, end)
            important = self._important(new, amounts, end)
            more = spread.fit(amounts, important, self.settings.processes)
            fitted = more if fitted is None else fitted.extend(more)
            known = [*known, *new]
            self._fits = {day: kept for day, kept in self._fits.items() if day >= refit}
            self._fits[refit] = (known, fitted)
        position = {key: at for at, key in enumerate(known)}
        return fitted.select(np.array([position[key] for key in chosen]))

    def _important(self, keys: Sequence[Key], amounts: Floats, end: int) -> NDArray[np.bool_]:
        """Which series carry enough to be fitted by maximum likelihood. Types of token never do:
        they follow the tokens, and no budget hangs on them."""
        spent = np.nansum(amounts[-_RECENT:], axis=0)
        recent = slice(max(0, end - _RECENT), end)
        whole = {metric: np.nansum(self.history.total[metric][recent]) for metric in METRICS}
        return np.array(
            [
                metric not in TOKEN_TYPES and amount > self.settings.small_share * whole[metric]
                for (metric, _), amount in zip(keys, spent, strict=True)
            ]
        )

    def _spent(self, chosen: Columns, end: int) -> Floats:
        """`(days, keys)` from the first day to row `end`."""
        series = [
            self.history.summed(scope, metric, dimension, at)[:end]
            for (metric, scope), (dimension, at) in chosen.items()
        ]
        return np.stack(series, axis=1)

    def _comparable(self, chosen: Columns, end: int) -> Floats:
        """`(days, keys)` as the models see them: at the prices of the night, holidays left out.
        The first row is always the same weekday."""
        begin = max(0, end - self.settings.history_days)
        begin += -begin % 7
        table = self._spent(chosen, end)
        if self.prices is not None:
            for at, ((metric, scope), (dimension, values)) in enumerate(chosen.items()):
                if metric == COST and (dimension or scope == TOTAL):
                    table[:, at] = self.prices.restated(table[:, at], dimension, values, end)
        table = table[begin:]
        first = self.history.first + timedelta(days=begin)
        table[rows_of(self.holidays, first, len(table))] = np.nan  # no ordinary days
        return table

    def _reprice(self, chosen: Columns, values: Singles, past: Floats, end: int) -> None:
        """Scales paths at tonight's prices to the prices of their days, in place."""
        if self.prices is None:
            return
        horizon = values.shape[1]
        for at, ((metric, scope), (dimension, of)) in enumerate(chosen.items()):
            if metric == COST and (dimension or scope == TOTAL):
                amounts = self.prices.restated(past[:, at], dimension, of, end)
                ratio = self.prices.ahead(amounts, dimension, of, end, horizon)
                values[at] *= ratio[:, None].astype(np.float32)

    def _keep_holidays(self, keys: Sequence[Key], values: Singles, end: int) -> None:
        """Scales the holidays ahead, in place."""
        first = self.history.first
        ahead = rows_of(self.holidays, first + timedelta(days=end), values.shape[1])
        if not len(ahead):
            return
        for metric in dict.fromkeys(metric for metric, _ in keys):
            total = self.history.total[metric][:end]
            scale = effect(total, self.holidays, first, values.shape[2], self.settings.seed)
            own = np.array([at for at, key in enumerate(keys) if key[0] == metric])
            values[np.ix_(own, ahead)] *= scale.astype(np.float32)


def _methods(made: engine.Paths, as_of: date) -> list[str]:
    """How each series was forecast: the models, a level that moved and since when, and the days
    of the last four weeks that were set aside as outliers."""
    told = list(made.method)
    for at, age in enumerate(made.shift.age.tolist()):
        odd = made.outlier[:, at]
        while 0 < age < len(odd) and odd[-age - 1]:
            age += 1  # set aside for its size: the first day of the new level
        if age:
            since = as_of - timedelta(days=age - 1)
            size, low, high = (
                np.exp(x[at]) for x in (made.shift.size, made.shift.low, made.shift.high)
            )
            told[at] += f"; level x{size:.2f} ({low:.2f} to {high:.2f}) since {since}"
        ago = len(odd) - 1 - np.flatnonzero(odd)
        days = [as_of - timedelta(days=day) for day in ago[(ago >= age) & (ago < _RECENT)].tolist()]
        if days:
            told[at] += f"; set aside {', '.join(day.isoformat() for day in days)}"
    return told


def _add_up(keys: Sequence[Key], values: Singles) -> None:
    """Makes the parts of every dimension add up to the metric's total, in place."""
    for metric in dict.fromkeys(metric for metric, _ in keys):
        parts = {
            dimension: values[place] for dimension, place in dimensions_of(keys, metric).items()
        }
        reconcile(values[keys.index((metric, TOTAL))], parts)
