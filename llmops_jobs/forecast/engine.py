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
from llmops_jobs.forecast.fit import Fit
from llmops_jobs.forecast.members import WEEK, ahead, responses, run
from llmops_jobs.forecast.paths import propagate, rare_use, resampled, shocks
from llmops_jobs.forecast.prepare import Prepared, prepare
from llmops_jobs.forecast.profile import profile
from llmops_jobs.forecast.robust import masked_median
from llmops_jobs.forecast.shifts import Shift, move_older, recent_shift

Floats = NDArray[np.float64]

PATHS = 500
# Less than two weeks do not tell a level from bursts: part of the paths redraw past amounts.
_YOUNG, _YOUNG_SHARE = 14, 0.4
_CAP, _CAP_GROWTH = float(np.log(3.0)), 0.03  # above the largest day ever, and a day on
_INFLATION = 1.02  # what a back-test on the days of the fit understates
_SILENT = 3  # zero days from which a series may have ended
_NEVER_SURE = 0.06  # of the paths, so that a 95 % interval has a width
_NEW_LEVEL = 0.35  # probability that a jump on the newest days stays
_HEADROOM = 1e15  # amounts beyond this are refused as broken


@dataclass(frozen=True)
class Ready:
    """Series as the models see them: outliers out, shifts moved, one column per reading."""

    log: Floats
    prepared: Prepared
    shift: Shift


@dataclass(frozen=True)
class Paths:
    """`values` is `(series, paths, horizon)`, never negative; `method` says how, per series."""

    values: Floats
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
    state = ready(amounts)
    values = _log_paths(state, fitted, names, horizon, seed, widen, paths)
    known = ~np.isnan(amounts)
    for series in np.flatnonzero(state.prepared.intermittent).tolist():
        column = np.maximum(np.nan_to_num(amounts[:, series]), 0.0)
        if not column.any():
            values[series] = _nothing_seen(known[:, series].sum(), paths, horizon, seed)
            continue
        values[series] = resampled(column, known[:, series], paths, horizon, seed, names[series])
        ended = _has_ended(column, known[:, series])
        stays = np.random.default_rng([seed, 8]).permutation(paths) < ended * paths
        values[series][stays] = 0.0
    other = np.random.default_rng([seed, 6]).permutation(paths) < _YOUNG_SHARE * paths
    young = (state.prepared.observed < _YOUNG) & (state.prepared.observed > 1)
    for series in np.flatnonzero(young & ~state.prepared.intermittent).tolist():
        column = np.maximum(np.nan_to_num(amounts[:, series]), 0.0)
        since = known[:, series] & (np.arange(len(amounts)) >= state.prepared.start[series])
        drawn = resampled(column, since, paths, horizon, seed, names[series])
        values[series][other] = drawn[other]
    for series in np.flatnonzero(state.prepared.closed.any(axis=0)).tolist():
        weekday = (len(amounts) + np.arange(horizon)) % WEEK
        shut = state.prepared.closed[weekday, series]
        column = amounts[:, series]
        values[series][:, shut] = rare_use(column, shut, paths, horizon, seed, names[series])
    return Paths(values, _methods(state, fitted), state.shift, state.prepared.outlier)


def _twice(array: NDArray[Any]) -> NDArray[Any]:
    """One series as two: numpy adds a single column in another order than several, and the last
    digit must not depend on what else is forecast."""
    return np.concatenate([array, array], axis=-1)


def _log_paths(
    state: Ready,
    fitted: Fit,
    names: Sequence[str],
    horizon: int,
    seed: int,
    widen: Floats,
    paths: int,
) -> Floats:
    parameters, weights = fitting.started(state.log, fitted.parameters), fitted.weights
    states = run(state.log, parameters)
    members = ahead(states, parameters, horizon)[0]  # (horizon, members, series)
    point = (members * weights).sum(axis=1)
    errors = np.where(
        np.isnan(states.errors).all(axis=1), np.nan, (states.errors * weights).sum(axis=1)
    )
    young = state.prepared.observed < fitting.WITH_ETS
    spent = 1.0 + WEEK * profile(state.log)[1] * young
    psi = (responses(parameters, horizon) * weights).sum(axis=1)
    deviation = propagate(shocks(errors, spent, names, paths, horizon, seed), psi)
    scale = fitted.scale[np.minimum(np.arange(horizon), len(fitted.scale) - 1)]
    deviation *= (_INFLATION * scale).T[:, None, :]
    deviation += _disagreement(members, weights, paths, seed)
    deviation *= widen[:, None, None]
    log = point.T[:, None, :] + deviation
    log += _pending(state, paths, seed)[:, :, None]
    cap = np.nan_to_num(np.nanmax(state.log, axis=0, initial=-50.0), nan=0.0) + _CAP
    log = np.minimum(log, cap[:, None, None] + _CAP_GROWTH * np.arange(1, horizon + 1))
    values = np.exp(log) - state.prepared.offset[:, None, None]
    return np.maximum(values, 0.0)


def _disagreement(members: Floats, weights: Floats, paths: int, seed: int) -> Floats:
    """`(series, paths, horizon)`: where the members differ, a path follows one side of them."""
    mean = (members * weights).sum(axis=1, keepdims=True)
    spread = np.sqrt((weights * (members - mean) ** 2).sum(axis=1)).T
    side = np.random.default_rng([seed, 2]).standard_normal(paths)
    return np.asarray(spread[:, None, :] * side[None, :, None])


def _pending(state: Ready, paths: int, seed: int) -> Floats:
    """`(series, paths)`: in some paths a jump on the newest days is there to stay."""
    jump = np.where(
        state.prepared.pending,
        np.nan_to_num(
            masked_median(state.prepared.pending_log[:-2] - state.prepared.log[:-2], axis=0)
        )
        if len(state.log) > 2
        else 0.0,
        0.0,
    )
    stays = np.random.default_rng([seed, 3]).permutation(paths) < _NEW_LEVEL * paths
    return jump[:, None] * stays


def _nothing_seen(days: int, paths: int, horizon: int, seed: int) -> Floats:
    """A series of zeros: nothing, but not for certain (rule of three; never fewer than 6 %)."""
    random = np.random.default_rng([seed, 4])
    chance = min(max(3.0 / max(days, 1), _NEVER_SURE), 0.5)
    some = random.random((paths, horizon)) < chance
    return np.where(some, 0.01 * np.abs(random.standard_t(3, (paths, horizon))), 0.0)


def _has_ended(column: Floats, known: NDArray[np.bool_]) -> float:
    """How likely it is that a series which fell silent stays so: its silence against the longest
    one before it; 0 for a series that is not silent, or often was."""
    amounts = column[known]
    used = np.flatnonzero(amounts > 0)
    silent = len(amounts) - 1 - used[-1]
    before = int(np.diff(used).max()) - 1 if len(used) > 1 else 0
    if silent < _SILENT or silent <= 2 * before:
        return 0.0
    return min(1.0 - 1.0 / (1.0 + silent / max(before, 1)), 1.0 - _NEVER_SURE)


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
