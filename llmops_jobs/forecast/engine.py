"""The forecast as a pure function: daily amounts in, sample paths out.

`amounts` is `(days, series)`, ending on the day the forecast is made; NaN is a day that was not
copied, 0 a day without use. Nothing here knows scopes, money or dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast import fit as fitting
from llmops_jobs.forecast import sparse
from llmops_jobs.forecast.draws import Draws, Singles, draws
from llmops_jobs.forecast.fit import Fit
from llmops_jobs.forecast.members import WEEK, ahead, responses, run
from llmops_jobs.forecast.paths import Pool, drift, drifts, propagate, shocks
from llmops_jobs.forecast.prepare import Prepared, prepare
from llmops_jobs.forecast.profile import profile
from llmops_jobs.forecast.robust import masked_median
from llmops_jobs.forecast.shifts import Shift, move_older, recent_shift

Floats = NDArray[np.float64]

PATHS = 500
# Less than two weeks do not tell a level from bursts: part of the paths redraw past amounts.
_YOUNG, _YOUNG_SHARE = 14, 0.5
_CAP, _CAP_GROWTH = float(np.log(3.0)), 0.03  # above the largest day ever, and a day on
_INFLATION = 1.03  # what a back-test on the days of the fit understates
# It understates most where a few weeks both chose the models and judge them; a year does not.
_FEW_WEEKS, _FEW_DAYS = 0.25, 28
_NEW_LEVEL = 0.35  # probability that a jump on the newest days stays
_HEADROOM = 1e15  # amounts beyond this are refused as broken
_BLOCK = 16  # series at a time, so that their paths stay in the processor's cache
_SIDE, _STAYS, _REDRAWN = 2, 3, 6  # streams of the draws


@dataclass(frozen=True)
class Ready:
    """Series as the models see them: outliers out, shifts moved, one column per reading."""

    log: Floats
    prepared: Prepared
    shift: Shift


@dataclass(frozen=True)
class Paths:
    """`values` is `(series, horizon, paths)`, never negative; `method` says how, per series."""

    values: Singles
    method: list[str]
    shift: Shift
    outlier: NDArray[np.bool_]  # (days, series): days set aside for fitting

    def first(self) -> Paths:
        shift = Shift(*(getattr(self.shift, f.name)[:1] for f in fields(Shift)))
        return Paths(self.values[:1], self.method[:1], shift, self.outlier[:, :1])


def ready(amounts: Floats) -> Ready:
    prepared = prepare(amounts)
    shift = recent_shift(prepared.log)
    return Ready(move_older(prepared.log, shift), prepared, shift)


def fit(amounts: Floats, important: NDArray[np.bool_] | None = None) -> Fit:
    """Parameters for the week to come. `important` series are fitted by maximum likelihood."""
    if amounts.shape[1] == 1:
        return fit(_twice(amounts), None if important is None else _twice(important)).select(
            np.array([0])
        )
    state = ready(amounts)
    chosen = np.zeros(amounts.shape[1], dtype=np.bool_) if important is None else important
    chosen = chosen & ~state.prepared.intermittent
    with np.errstate(invalid="ignore"):
        return fitting.fit(state.log, state.prepared.observed, chosen)


def forecast(
    amounts: Floats,
    names: Sequence[str],
    horizon: int,
    *,
    seed: int,
    fitted: Fit | None = None,
    important: NDArray[np.bool_] | None = None,
    widen: Floats | float = 1.0,
    paths: int = PATHS,
) -> Paths:
    """Sample paths for the `horizon` days after the last row.

    `fitted` comes from `fit` on days no later than these; without it one is made here. `widen`
    is the factor by which stored forecasts turned out too narrow, per series.
    """
    amounts = np.where(np.isfinite(amounts) & (amounts < _HEADROOM), amounts, np.nan)
    if fitted is None:
        fitted = fit(amounts, important)
    widen = np.broadcast_to(np.asarray(widen, dtype=np.float64), (len(names),))
    if len(names) == 1:
        both = forecast(
            _twice(amounts),
            [*names, *names],
            horizon,
            seed=seed,
            fitted=fitted.select(np.array([0, 0])),
            widen=_twice(widen),
            paths=paths,
        )
        return both.first()
    state, drawn = ready(amounts), draws(seed, paths)
    values = _log_paths(state, fitted, names, drawn, horizon, widen, paths)
    _redraw(values, amounts, state.prepared, names, drawn)
    return Paths(values, _methods(state, fitted), state.shift, state.prepared.outlier)


def _twice(array: NDArray[Any]) -> NDArray[Any]:
    """One series as two: numpy adds a single column in another order than several, and the last
    digit must not depend on what else is forecast."""
    return np.concatenate([array, array], axis=-1)


def _log_paths(
    state: Ready,
    fitted: Fit,
    names: Sequence[str],
    drawn: Draws,
    horizon: int,
    widen: Floats,
    paths: int,
) -> Singles:
    parameters, weights = fitting.started(state.log, fitted.parameters), fitted.weights
    states = run(state.log, parameters)
    members = ahead(states, parameters, horizon)[0]  # (horizon, members, series)
    point = (members * weights).sum(axis=1)
    errors = np.where(
        np.isnan(states.errors).all(axis=1), np.nan, (states.errors * weights).sum(axis=1)
    )
    loud = np.sqrt(parameters.noise[0].T)  # (7, series)
    errors = errors / loud[np.arange(len(errors)) % WEEK]
    first_day = len(errors)
    loud = loud[(first_day + np.arange(horizon)) % WEEK]
    spent = 1.0 + WEEK * profile(state.log)[1]
    psi = (responses(parameters, horizon) * weights).sum(axis=2)
    pool = Pool.of(errors, spent)
    scale = fitted.scale[np.minimum(np.arange(horizon), len(fitted.scale) - 1)]
    # Where the members differ, a path follows one side of them.
    spread = np.sqrt((weights * (members - point[:, None]) ** 2).sum(axis=1))
    wander = drift(state.prepared.observed, horizon, fitting.WITH_ETS)
    ceiling = np.nan_to_num(np.nanmax(state.log, axis=0, initial=-50.0), nan=0.0) + _CAP
    ceiling = ceiling + _CAP_GROWTH * np.arange(1, horizon + 1)[:, None]
    jump, stays = _jump(state), drawn.some(_NEW_LEVEL, _STAYS)
    side = drawn.per_path(_SIDE)
    values = np.empty((len(names), horizon, paths), dtype=np.float32)
    for first in range(0, len(names), _BLOCK):
        block = np.arange(first, min(first + _BLOCK, len(names)))
        shock = shocks(pool, block, names[first : first + _BLOCK], drawn, horizon)
        shock *= _by_day(loud, block)
        log = propagate(shock, psi[:, :, block], first_day)
        log *= _by_day(_understated(state.prepared.observed) * scale * widen, block)
        log += _by_day(wander * widen, block) * drifts(names[first : first + _BLOCK], drawn)
        log += _by_day(spread * widen, block) * side
        log += _by_day(point, block)
        for at in np.flatnonzero(jump[block]):
            log[at][:, stays] += np.float32(jump[block[at]])
        np.minimum(log, _by_day(ceiling, block), out=log)
        np.exp(log, out=log)
        log -= state.prepared.offset[block, None, None].astype(np.float32)
        np.maximum(log, 0.0, out=values[block[0] : block[-1] + 1])
    return values


def _understated(observed: NDArray[np.int64]) -> Floats:
    """`(series,)`: the factor on shocks that no back-test of so many days can find."""
    weeks = (_FEW_DAYS / np.maximum(observed, _FEW_DAYS)) ** 2
    judged = np.clip(observed / _YOUNG - 1.0, 0.0, 1.0)  # a first fortnight judges no model
    return np.asarray(_INFLATION * (1.0 + _FEW_WEEKS * weeks * judged))


def _by_day(table: Floats, block: NDArray[np.int64]) -> Singles:
    """`(horizon, series)` as `(block, horizon, 1)`."""
    return np.asarray(table[:, block].T[:, :, None].astype(np.float32))


def _jump(state: Ready) -> Floats:
    """`(series,)`: the log size of a jump on the newest days that may be there to stay."""
    if len(state.log) <= 2 or not state.prepared.pending.any():
        return np.zeros(state.log.shape[1])
    size = masked_median(state.prepared.pending_log[:-2] - state.prepared.log[:-2], axis=0)
    return np.where(state.prepared.pending, np.nan_to_num(size), 0.0)


def _redraw(
    values: Singles, amounts: Floats, prepared: Prepared, names: Sequence[str], drawn: Draws
) -> None:
    """Replaces what logarithms cannot carry, in place."""
    horizon = values.shape[1]
    known = ~np.isnan(amounts)
    for at in np.flatnonzero(prepared.intermittent).tolist():
        values[at] = sparse.intermittent(amounts[:, at], known[:, at], names[at], drawn, horizon)
    young = (prepared.observed < _YOUNG) & (prepared.observed > 1) & ~prepared.intermittent
    redrawn = drawn.some(_YOUNG_SHARE, _REDRAWN)
    for at in np.flatnonzero(young).tolist():
        column = np.maximum(np.nan_to_num(amounts[:, at]), 0.0)
        since = known[:, at] & (np.arange(len(amounts)) >= prepared.start[at])
        past = sparse.resampled(column, since, names[at], drawn, horizon)
        values[at][:, redrawn] = past[:, redrawn]
    weekday = (len(amounts) + np.arange(horizon)) % WEEK
    for at in np.flatnonzero(prepared.closed.any(axis=0)).tolist():
        shut = prepared.closed[weekday, at]
        values[at][shut] = sparse.rare_use(amounts[:, at], names[at], drawn, horizon)[shut]


def _methods(state: Ready, fitted: Fit) -> list[str]:
    names = []
    for series, observed in enumerate(state.prepared.observed):
        if state.prepared.intermittent[series]:
            names.append("weekday bootstrap (intermittent)")
            continue
        used = [
            f"{name} {weight:.0%}"
            for name, weight in zip(fitting.MEMBERS, fitted.weights[:, series], strict=True)
            if weight >= 0.05
        ]
        rung = "short history: " if observed < fitting.WITH_ETS else ""
        names.append(rung + " + ".join(used))
    return names


__all__ = ["PATHS", "WEEK", "Fit", "Paths", "fit", "forecast", "ready"]
