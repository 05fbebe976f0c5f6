"""Why a day's or a week's spend differs from the one before: in total, by feature and by tenant.

All days of a run are explained at once: their windows are differences of running sums over the
days, and every scope of every day is a group of the same arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import sqlalchemy as sa

from llmops_jobs.ledger.factors import FACTORS, TOKENS, Cells, Ints, by_factor
from llmops_jobs.ledger.lmdi import to_the_nano
from llmops_jobs.ledger.units import COMPONENTS
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    from llmops_jobs.store import Database

#: Period -> its length in days; it is compared with as many days before.
PERIODS: Final = {"day": 1, "week": 7}
SCOPES: Final = ("feature", "tenant")

_REACH = 2 * max(PERIODS.values()) - 1  # days before the first that is explained
_CELL = ["feature", "tenant", "provider", "model"]
_MONEY = ("cost_usd", *COMPONENTS)
_MEASURES = ("requests", "logical_calls", *TOKENS, *_MONEY)


def explain(database: Database, project: str, days: Sequence[date], limit: int) -> pd.DataFrame:
    """The days' rows of `spend_change`, with `day`; each as of itself.

    Periods that the ledger does not reach back to are left out. Features and tenants are the
    `limit` with the largest change each.
    """
    tables = []
    began = _began(database, project)
    if days and began is not None:
        spend = _read(database, project, min(days) - timedelta(days=_REACH), max(days))
        for period, length in PERIODS.items():
            known = [day for day in days if day - timedelta(days=2 * length - 1) >= began]
            for dimension in (None, *SCOPES):
                rows = _decomposed(spend, known, length, dimension, limit)
                tables.append(rows.assign(period=period))
    columns = ["day", "period", "scope", "factor", "before_usd", "after_usd", "effect_usd"]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


@dataclass(frozen=True)
class _Spend:
    """Product spend of consecutive days by feature, tenant and model, in whole numbers."""

    first: date
    cells: pd.DataFrame  # the columns of _CELL
    daily: Ints  # (measure, day, cell); money in nano-dollars

    @cached_property
    def until(self) -> Ints:
        """Sums of all days before each."""
        return np.concatenate([np.zeros_like(self.daily[:, :1]), self.daily.cumsum(axis=1)], axis=1)

    def before_and_after(self, days: Sequence[date], length: int) -> list[Ints]:
        """(measure, day, cell) of the `length` days up to each day, and of as many before them."""
        end = np.array([(day - self.first).days + 1 for day in days], dtype=np.int64)
        edges = [self.until[:, end - back * length] for back in (2, 1, 0)]
        return [edges[1] - edges[0], edges[2] - edges[1]]


def _decomposed(
    spend: _Spend, days: Sequence[date], length: int, dimension: str | None, limit: int
) -> pd.DataFrame:
    keys = [*([dimension] if dimension else []), "provider", "model"]
    grouped = spend.cells.groupby(keys, sort=True)
    code, size = grouped.ngroup().to_numpy(), grouped.ngroups
    names = spend.cells[dimension] if dimension else pd.Series("", spend.cells.index)
    values, name = np.unique(names.to_numpy(object).astype(str), return_inverse=True)
    name_of = np.zeros(size, dtype=np.int64)
    name_of[code] = name
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(size))
    sides = [
        np.add.reduceat(side[:, :, order], starts, axis=2) if size else side
        for side in spend.before_and_after(days, length)
    ]
    day, key = np.nonzero((sides[0] != 0).any(axis=0) | (sides[1] != 0).any(axis=0))
    scope, scopes = day * len(values) + name_of[key], len(days) * len(values)
    old, new = (
        Cells(dict(zip(_MEASURES, side[:, day, key], strict=True)), scope, scopes) for side in sides
    )
    was, is_now = (_sums(side.counts["cost_usd"], scope, scopes) for side in (old, new))
    effects = by_factor(old, new)
    rows = []
    for place in _largest(was, is_now, len(values), limit if dimension else 1):
        before, after = (Decimal(int(side[place])).scaleb(-9) for side in (was, is_now))
        told = f"{dimension}={values[place % len(values)]}" if dimension else "total"
        parts = {factor: effects[factor][place] for factor in FACTORS}
        for factor, effect in to_the_nano(parts, after - before, FACTORS).items():
            rows.append((days[place // len(values)], told, factor, before, after, effect))
    columns = ["day", "scope", "factor", "before_usd", "after_usd", "effect_usd"]
    return pd.DataFrame(rows, columns=columns)


def _sums(values: Ints, scope: Ints, scopes: int) -> Ints:
    sums = np.zeros(scopes, dtype=np.int64)
    np.add.at(sums, scope, values)
    return sums


def _largest(before: Ints, after: Ints, values: int, limit: int) -> list[int]:
    """Scopes (day by day, `values` of them a day) with the largest changes of their day."""
    change = np.abs(after - before)
    day = np.arange(len(change)) // max(values, 1)
    order = np.lexsort((np.arange(len(change)), -change, day))
    order = order[(before[order] != 0) | (after[order] != 0)]
    first_of_day = np.searchsorted(day[order], day[order])
    return list(order[np.arange(len(order)) - first_of_day < limit].tolist())


def _began(database: Database, project: str) -> date | None:
    """The ledger's first day."""
    usage = TABLES["usage_daily"]
    query = sa.select(sa.func.min(usage.c.day)).where(usage.c.project_id == project)
    (first,) = database.read(query).iloc[:, 0].tolist()
    return None if first is None else first


def _read(database: Database, project: str, first: date, last: date) -> _Spend:
    usage, attempts = TABLES["usage_daily"], TABLES["attempt_daily"]
    keys = ["day", *_CELL]
    sums = [sa.func.sum(usage.c[name]).label(name) for name in ("requests", *TOKENS)]
    # As doubles: 15 digits, as exact as the database's own money, without a Decimal a value.
    sums += [sa.cast(sa.func.sum(usage.c[name]), sa.Double).label(name) for name in _MONEY]
    rows = database.read(
        sa.select(*(usage.c[name] for name in keys), *sums)
        .where(usage.c.project_id == project, usage.c.day.between(first, last))
        .where(~usage.c.is_evaluation)
        .group_by(*(usage.c[name] for name in keys))
    )
    grouped = database.read(
        sa.select(*(attempts.c[name] for name in (*keys, "logical_calls"))).where(
            attempts.c.project_id == project, attempts.c.day.between(first, last)
        )
    )
    rows = rows.merge(grouped, how="left", on=keys)
    # A day whose attempts were not grouped counts every attempt as a call of its own.
    known = rows["day"].isin(set(grouped["day"]))
    rows["logical_calls"] = rows["logical_calls"].fillna(0).where(known, rows["requests"])
    for name in _MONEY:
        rows[name] = np.rint(rows[name].fillna(0).to_numpy(dtype=float) * 1e9)
    cells = rows[_CELL].drop_duplicates().sort_values(_CELL, ignore_index=True)
    cell = rows[_CELL].merge(cells.assign(cell=cells.index), on=_CELL)["cell"].to_numpy()
    day = np.array([(each - first).days for each in rows["day"]], dtype=np.int64)
    daily = np.zeros((len(_MEASURES), (last - first).days + 1, len(cells)), dtype=np.int64)
    daily[:, day, cell] = [rows[name].to_numpy(dtype=np.int64) for name in _MEASURES]
    return _Spend(first, cells, daily)
