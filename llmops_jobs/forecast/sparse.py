"""Series that logarithms cannot carry: intermittent, silent, closed at weekends, too young.

What is redrawn here are past amounts, not shocks. `amounts` and `known` are `(days,)`, results
`(horizon, paths)`, never negative.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.draws import Draws, Singles
from llmops_jobs.forecast.members import WEEK

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SILENT = 3  # zero days from which a series may have ended
_NEVER_SURE = 0.06  # of the paths, so that a 95 % interval has a width
# Days after which an amount is half as likely to be drawn: half of those known, four weeks at most.
_HALF_LIFE = 4 * WEEK
_OTHER_DAY = 0.35  # weight of other weekdays
# Of a path's amounts, as log-standard deviations: at least; where one day is known; at most.
_SIZE, _ONE_DAY, _WILDEST = 0.15, 0.3, 3.0
_ORDER, _ENDED = 1, 8  # streams of the draws


def resampled(amounts: Floats, known: Bools, name: str, draws: Draws, horizon: int) -> Singles:
    """Past amounts of the same weekday, newer ones likelier, other weekdays at a third of the
    weight; each path and day a little larger or smaller than what was."""
    days = len(amounts)
    position = np.arange(days)
    half_life = min(_HALF_LIFE, max(0.5 * int(known.sum()), 1.0))
    weight = 0.5 ** ((days - 1 - position) / half_life) * known
    order = draws.order(horizon, _ORDER)
    paths = order.shape[1]
    even = (np.arange(paths) + 0.5) / paths
    values = np.nan_to_num(amounts).astype(np.float32)
    result = np.empty(order.shape, dtype=np.float32)
    for first in range(min(WEEK, horizon)):
        same = (position % WEEK) == ((days + first) % WEEK)
        cumulative = np.cumsum(weight * np.where(same, 1.0, _OTHER_DAY))
        chosen = np.searchsorted(cumulative, even * cumulative[-1])
        sorted_draw = values[np.minimum(chosen, days - 1)]
        result[first::WEEK] = sorted_draw[order[first::WEEK]]
    size = 0.1 * draws.own("normal", name, horizon)
    size += _unsure_size(values[known]) * draws.own("normal", f"size of {name}", 1)
    return np.asarray(result * np.exp(size))


def _unsure_size(amounts: Singles) -> np.float32:
    """Log-standard deviation of the mean amount, known from so few: half of the variance of a
    mean, for the amounts redrawn differ as well."""
    used = np.log(amounts[amounts > 0])
    if not len(used):
        return np.float32(_SIZE)
    spread = min(float(np.var(used)), _WILDEST**2) if len(used) > 1 else _ONE_DAY**2
    return np.float32(np.sqrt(_SIZE**2 + 0.5 * (spread + 0.05) / len(used)))


def intermittent(amounts: Floats, known: Bools, name: str, draws: Draws, horizon: int) -> Singles:
    """Redrawn amounts; some or most paths nothing where the series has fallen silent."""
    column = np.maximum(np.nan_to_num(amounts), 0.0)
    if not column.any():
        return _nothing_seen(int(known.sum()), draws, horizon)
    values = resampled(column, known, name, draws, horizon)
    values[:, draws.some(_has_ended(column, known), _ENDED)] = 0.0
    return values


def rare_use(amounts: Floats, name: str, draws: Draws, horizon: int) -> Singles:
    """Weekdays without use: nothing, but not for certain. In one path of n + 2 (n the weeks seen;
    never fewer than 3 %) some part of an ordinary day."""
    used = amounts[np.nan_to_num(amounts) > 0].astype(np.float32)
    chance = max(1.0 / (max(len(amounts) / WEEK, 1.0) + 2.0), 0.03)
    some = draws.own("uniform", f"use of {name}", horizon) < chance
    which = (draws.own("uniform", f"day of {name}", horizon) * len(used)).astype(np.int64)
    part = draws.own("uniform", f"part of {name}", horizon)
    return np.where(some, part * used[np.minimum(which, len(used) - 1)], np.float32(0.0))


def _nothing_seen(days: int, draws: Draws, horizon: int) -> Singles:
    """A series of zeros: nothing, but not for certain (rule of three; never fewer than 6 %)."""
    chance = min(max(3.0 / max(days, 1), _NEVER_SURE), 0.5)
    some = draws.own("uniform", "nothing seen", horizon) < chance
    size = np.abs(draws.own("tail", "nothing seen", horizon)) * np.float32(0.01)
    return np.where(some, size, np.float32(0.0))


def _has_ended(column: Floats, known: Bools) -> float:
    """How likely it is that a series which fell silent stays so: its silence against the longest
    one before it; 0 for a series that is not silent, or often was."""
    amounts = column[known]
    used = np.flatnonzero(amounts > 0)
    silent = len(amounts) - 1 - used[-1]
    before = int(np.diff(used).max()) - 1 if len(used) > 1 else 0
    if silent < _SILENT or silent <= 2 * before:
        return 0.0
    return min(1.0 - 1.0 / (1.0 + silent / max(before, 1)), 1.0 - _NEVER_SURE)
