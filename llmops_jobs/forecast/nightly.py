"""The forecasts of many nights: each sees its own past only, the history is read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast import engine
from llmops_jobs.forecast.coherence import reconcile
from llmops_jobs.forecast.history import (
    COST,
    EVALUATION,
    METRICS,
    OTHER,
    TOKEN_TYPES,
    TOKENS,
    TOTAL,
    History,
)
from llmops_jobs.forecast.holidays import effect, rows_of
from llmops_jobs.forecast.prices import PriceChanges
from llmops_jobs.forecast.settings import ForecastSettings

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Floats = NDArray[np.float64]

REFIT_WEEKDAY = 6  # Sunday: parameters are chosen on the days up to it and kept for a week
_RECENT = 28
_TYPED_MODELS = 5  # whose tokens are forecast by type

# Scope -> the dimension whose columns it adds up, and which; for total and evaluation, none.
_Columns = dict[str, tuple[str, list[int]]]


@dataclass(frozen=True)
class Night:
    """The forecast as of a day: `paths[metric][scope]` is `(paths, horizon)`, the first column the
    day after `as_of`. The scopes of a dimension add up to the total in every path."""

    as_of: date
    horizon: int
    paths: dict[str, dict[str, Floats]]
    method: dict[tuple[str, str], str]  # (metric, scope) -> how
    widened: dict[tuple[str, str], float]  # (metric, scope) -> factor on the interval


@dataclass
class Forecaster:
    """Makes the nights of one project, in any order; keeps the parameters of the newest week."""

    history: History
    settings: ForecastSettings
    extra_scopes: Collection[str] = ()
    prices: PriceChanges | None = None  # known changes of price, past and to come
    holidays: frozenset[date] = frozenset()
    _fits: dict[tuple[str, date], tuple[list[str], engine.Fit]] = field(default_factory=dict)

    def night(
        self,
        as_of: date,
        horizon: int,
        metrics: Sequence[str] = METRICS,
        widen: Mapping[tuple[str, str], float] | None = None,
    ) -> Night | None:
        """The forecast as of a day, None where nothing was ever used up to it."""
        with _one_thread():
            return self._night(as_of, horizon, metrics, widen)

    def _night(
        self,
        as_of: date,
        horizon: int,
        metrics: Sequence[str],
        widen: Mapping[tuple[str, str], float] | None,
    ) -> Night | None:
        end = self.history.index(as_of) + 1
        if end <= 0 or not np.nansum(self.history.total[TOKENS][:end]) > 0:
            return None
        night = Night(as_of, horizon, {}, {}, dict(widen or {}))
        for metric in metrics:
            if metric in TOKEN_TYPES and not np.nansum(self.history.total[metric][:end]) > 0:
                continue
            columns = self._columns(metric, end)
            scopes = list(columns)
            result = engine.forecast(
                self._amounts(metric, end, columns),
                [f"{metric}:{scope}" for scope in scopes],
                horizon,
                seed=self.settings.seed,
                fitted=self._fit(metric, columns, as_of),
                widen=np.array([night.widened.get((metric, scope), 1.0) for scope in scopes]),
                paths=self.settings.paths,
            )
            self._reprice(metric, columns, result.values, end, horizon)
            self._keep_holidays(metric, result.values, end)
            night.method.update(
                ((metric, scope), how) for scope, how in zip(scopes, result.method, strict=True)
            )
            night.paths[metric] = _coherent(scopes, result.values)
        return night

    def _fit(self, metric: str, columns: _Columns, as_of: date) -> engine.Fit:
        """Parameters chosen on the days up to the last Sunday, whichever night asks first."""
        refit = as_of - timedelta(days=(as_of.weekday() - REFIT_WEEKDAY) % 7)
        known, fitted = self._fits.get((metric, refit), ([], None))
        new = [scope for scope in columns if scope not in known]
        if new or fitted is None:
            end = max(self.history.index(refit) + 1, 1)
            then = self._columns(metric, end)
            amounts = self._amounts(metric, end, {s: then.get(s, columns[s]) for s in new})
            spent = np.nansum(amounts[-_RECENT:], axis=0)
            whole = float(np.nansum(self.history.total[metric][max(0, end - _RECENT) : end]))
            important = spent > self.settings.small_share * whole
            if metric in TOKEN_TYPES:  # they follow the tokens; no budget hangs on them
                important[:] = False
            more = engine.fit(amounts, important)
            fitted = more if fitted is None else fitted.extend(more)
            known = [*known, *new]
            self._fits = {key: kept for key, kept in self._fits.items() if key[1] >= refit}
            self._fits[metric, refit] = (known, fitted)
        position = {scope: at for at, scope in enumerate(known)}
        return fitted.select(np.array([position[scope] for scope in columns]))

    def _reprice(
        self, metric: str, columns: _Columns, values: Floats, end: int, horizon: int
    ) -> None:
        """Scales paths at tonight's prices to the prices of their days, in place."""
        if metric != COST or self.prices is None:
            return
        for number, (scope, (dimension, at)) in enumerate(columns.items()):
            if scope != EVALUATION:
                amounts = self._cost(scope, dimension, at, end)
                ratio = self.prices.ahead(amounts, dimension, at, end, horizon)
                values[number] *= ratio

    def _keep_holidays(self, metric: str, values: Floats, end: int) -> None:
        """Scales the holidays ahead, in place."""
        first = self.history.first
        ahead = rows_of(self.holidays, first + timedelta(days=end), values.shape[2])
        if len(ahead):
            total = self.history.total[metric][:end]
            scale = effect(total, self.holidays, first, values.shape[1], self.settings.seed)
            values[:, :, ahead] *= scale[None, :, None]

    def _cost(self, scope: str, dimension: str, at: list[int], end: int) -> Floats:
        """Daily cost of a product scope up to row `end`, at the prices of its last day."""
        if scope == TOTAL:
            amounts = self.history.total[COST][:end]
        else:
            amounts = self.history.blocks[dimension].amounts[COST][:end, at].sum(axis=1)
        if self.prices is None:
            return amounts
        return self.prices.restated(amounts, dimension, at, end)

    def _columns(self, metric: str, end: int) -> _Columns:
        """The scopes forecast from the days before row `end`; token types by large models only."""
        columns: _Columns = {TOTAL: ("", [])}
        if metric in (COST, TOKENS):
            window = self.history.evaluation[TOKENS][max(0, end - self.settings.history_days) : end]
            if np.nansum(window) > 0:
                columns[EVALUATION] = ("", [])
        for dimension, block in self.history.blocks.items():
            if metric in TOKEN_TYPES and dimension != "model":
                continue
            count = self.settings.scopes_per_dimension
            count = min(count, _TYPED_MODELS) if metric in TOKEN_TYPES else count
            wanted = self.history.largest(dimension, end, count)
            wanted += [
                at
                for at, value in enumerate(block.values)
                if f"{dimension}={value}" in self.extra_scopes and at not in wanted
            ]
            columns |= {f"{dimension}={block.values[at]}": (dimension, [at]) for at in wanted}
            rest = [at for at in range(len(block.values)) if at not in set(wanted)]
            window = block.amounts[TOKENS][max(0, end - _RECENT) : end, rest]
            if np.nansum(window) > 0:
                columns[f"{dimension}={OTHER}"] = (dimension, rest)
        return columns

    def _amounts(self, metric: str, end: int, columns: _Columns) -> Floats:
        """`(days, scopes)` up to row `end`; the first row is always the same weekday."""
        begin = max(0, end - self.settings.history_days)
        begin += -begin % 7
        series = []
        for scope, (dimension, at) in columns.items():
            if scope == EVALUATION:
                series.append(self.history.evaluation[metric][begin:end])
            elif metric == COST:
                series.append(self._cost(scope, dimension, at, end)[begin:])
            elif scope == TOTAL:
                series.append(self.history.total[metric][begin:end])
            else:
                amounts = self.history.blocks[dimension].amounts[metric]
                series.append(amounts[begin:end, at].sum(axis=1))
        table = np.stack(series, axis=1)
        holidays = rows_of(self.holidays, self.history.first + timedelta(days=begin), len(table))
        table[holidays] = np.nan  # no ordinary days: left out of the fit
        return table


@cache
def _threads() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  the controller knows only what is loaded by now
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """Small matrices: a second BLAS thread only waits, and other processes have the cores."""
    return _threads().limit(limits=1, user_api="blas")


def _coherent(scopes: Sequence[str], values: Floats) -> dict[str, Floats]:
    position = {scope: at for at, scope in enumerate(scopes)}
    groups: dict[str, list[str]] = {}
    for scope in scopes:
        if scope not in (TOTAL, EVALUATION):
            groups.setdefault(scope.partition("=")[0], []).append(scope)
    parts = {name: values[[position[s] for s in members]] for name, members in groups.items()}
    total, scaled = reconcile(values[position[TOTAL]], parts)
    result = {TOTAL: total}
    for name, members in groups.items():
        result |= dict(zip(members, scaled[name], strict=True))
    if EVALUATION in position:
        result[EVALUATION] = values[position[EVALUATION]]
    return result
