"""Why a day's or a week's spend differs from the one before: in total, by feature and by tenant.

Spend = sum over models and components of

    logical calls x attempts per logical call x share of attempts on the model
    x tokens per attempt (input, output) x share of the component in its tokens (cache)
    x dollars per token (per attempt for what is not billed by tokens)

which names the factors: volume, retries, model_mix, tokens_per_request, cache, price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import sqlalchemy as sa

from llmops_jobs.ledger.lmdi import Floats, effects, to_the_nano
from llmops_jobs.ledger.units import COMPONENTS
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    from llmops_jobs.store import Database

FACTORS: Final = (
    *("volume", "retries", "model_mix", "tokens_per_request", "cache", "price", "residual"),
)
#: Period -> its length in days; it is compared with as many days before.
PERIODS: Final = {"day": 1, "week": 7}
SCOPES: Final = ("feature", "tenant")

_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
_CELL = ["feature", "tenant", "provider", "model"]
_SUMS = ["requests", *_TOKENS, "cost_usd", *COMPONENTS]
# Component -> (group of tokens that it is a share of, its own tokens).
_COMPONENT_TOKENS = {
    "input_usd": ("in", "uncached"),
    "cache_read_usd": ("in", "cache_read_tokens"),
    "cache_write_usd": ("in", "cache_write_tokens"),
    "output_usd": ("out", "output_tokens"),
    "other_usd": ("", "requests"),
}


@dataclass
class SpendHistory:
    """Days of product spend by feature, tenant and model, each read once."""

    database: Database
    _days: dict[tuple[str, date], pd.DataFrame] = field(default_factory=dict)
    _first: dict[str, date | None] = field(default_factory=dict)

    def window(self, project: str, last: date, length: int) -> pd.DataFrame:
        """The cells of the days (last - length, last], summed."""
        days = [self._day(project, last - timedelta(days=back)) for back in range(length)]
        held = [day for day in days if not day.empty]
        return _summed(pd.concat(held) if held else days[0], _CELL)

    def reaches(self, project: str, day: date) -> bool:
        """Whether the ledger began on that day or before."""
        if project not in self._first:
            usage = TABLES["usage_daily"]
            query = sa.select(sa.func.min(usage.c.day)).where(usage.c.project_id == project)
            (self._first[project],) = self.database.read(query).iloc[:, 0].tolist() or [None]
        first = self._first[project]
        return first is not None and first <= day

    def _day(self, project: str, day: date) -> pd.DataFrame:
        if (project, day) not in self._days:
            self._days[project, day] = self._read(project, day)
        return self._days[project, day]

    def _read(self, project: str, day: date) -> pd.DataFrame:
        usage, attempts = TABLES["usage_daily"], TABLES["attempt_daily"]
        spend = self.database.read(
            sa.select(
                *(usage.c[name] for name in _CELL),
                *(
                    sa.func.sum(usage.c[name], type_=usage.c[name].type).label(name)
                    for name in _SUMS
                ),
            )
            .where(usage.c.project_id == project, usage.c.day == day, ~usage.c.is_evaluation)
            .group_by(*(usage.c[name] for name in _CELL))
        )
        grouped = self.database.read(
            sa.select(*(attempts.c[name] for name in (*_CELL, "logical_calls"))).where(
                attempts.c.project_id == project, attempts.c.day == day
            )
        )
        # A day whose attempts were not grouped counts every attempt as a call of its own.
        joined = spend.merge(grouped, how="left", on=_CELL)
        known = joined["logical_calls"].fillna(0) if len(grouped) else joined["requests"]
        money = {name: _nano(joined[name]) for name in ("cost_usd", *COMPONENTS)}
        counts = {name: joined[name].astype(np.int64) for name in ("requests", *_TOKENS)}
        return joined.assign(**money, **counts, logical_calls=known.astype(np.int64))


def explain(history: SpendHistory, project: str, day: date, limit: int) -> pd.DataFrame:
    """A day's rows of `spend_change`. Periods that the ledger does not reach back to are left out.

    Features and tenants are the `limit` with the largest change each.
    """
    tables = []
    for period, length in PERIODS.items():
        before_last = day - timedelta(days=length)
        if not history.reaches(project, before_last - timedelta(days=length - 1)):
            continue
        before = history.window(project, before_last, length)
        after = history.window(project, day, length)
        for dimension in (None, *SCOPES):
            tables.append(_decomposed(before, after, dimension, limit).assign(period=period))
    columns = ["period", "scope", "factor", "before_usd", "after_usd", "effect_usd"]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def _decomposed(
    before: pd.DataFrame, after: pd.DataFrame, dimension: str | None, limit: int
) -> pd.DataFrame:
    keys = [*([dimension] if dimension else []), "provider", "model"]
    sides = [_summed(side, keys).set_index(keys) for side in (before, after)]
    cells = sides[0].index.union(sides[1].index)
    old, new = (side.reindex(cells, fill_value=0) for side in sides)
    scope = cells.get_level_values(dimension).to_numpy() if dimension else np.full(len(cells), "")
    spent = [
        pd.Series(side["cost_usd"].to_numpy(), scope).groupby(level=0).sum() for side in (old, new)
    ]
    split, unexplained = _by_factor(old, new, scope)
    by_scope = pd.DataFrame({**split, "residual": unexplained}).groupby(scope).sum()
    rows: list[dict[str, Any]] = []
    for name in _largest(spent[0], spent[1], limit if dimension else 1):
        first, last = _usd(spent[0][name]), _usd(spent[1][name])
        parts = by_scope.loc[name].to_dict()
        for factor, effect in to_the_nano(parts, last - first, FACTORS).items():
            rows.append(
                {
                    "scope": f"{dimension}={name}" if dimension else "total",
                    "factor": factor,
                    "before_usd": first,
                    "after_usd": last,
                    "effect_usd": effect,
                }
            )
    return pd.DataFrame(rows, columns=["scope", "factor", "before_usd", "after_usd", "effect_usd"])


def _largest(before: pd.Series, after: pd.Series, limit: int) -> Sequence[str]:
    changes = sorted(before.index, key=lambda name: (-abs(after[name] - before[name]), name))
    return [name for name in changes if before[name] or after[name]][:limit]


def _by_factor(
    old: pd.DataFrame, new: pd.DataFrame, scope: np.ndarray[Any, Any]
) -> tuple[dict[str, Floats], Floats]:
    sides = [_factors(side, scope) for side in (old, new)]
    split, rest = effects(*({n: f.ravel() for n, f in side.items()} for side in sides))
    shape = (len(COMPONENTS), len(scope))
    per_cell = {name: part.reshape(shape).sum(axis=0) for name, part in split.items()}
    # What the product of the factors does not hold (money without the tokens it was billed for).
    money = [side[list(COMPONENTS)].to_numpy(dtype=float).T / 1e9 for side in (old, new)]
    product = [np.nan_to_num(_product(side)) for side in sides]
    outside = (money[1] - money[0]) - (product[1] - product[0])
    return per_cell, rest.reshape(shape).sum(axis=0) + outside.sum(axis=0)


def _product(factors: dict[str, Floats]) -> Floats:
    held = np.array([np.nan_to_num(factor) for factor in factors.values()])
    product: Floats = held.prod(axis=0)
    return product


def _factors(cells: pd.DataFrame, scope: np.ndarray[Any, Any]) -> dict[str, Floats]:
    """Every factor as an array over (component, cell); NaN where it has no meaning."""
    attempts = cells["requests"].to_numpy(dtype=float)
    in_scope = {
        name: pd.Series(cells[name].to_numpy(dtype=float))
        .groupby(scope)
        .transform("sum")
        .to_numpy()
        for name in ("requests", "logical_calls")
    }
    volume = in_scope["logical_calls"]
    tokens = {name: np.maximum(cells[name].to_numpy(dtype=float), 0) for name in _TOKENS}
    tokens["requests"] = attempts
    tokens["uncached"] = np.maximum(
        tokens["input_tokens"] - tokens["cache_read_tokens"] - tokens["cache_write_tokens"], 0
    )
    group = {
        "in": tokens["uncached"] + tokens["cache_read_tokens"] + tokens["cache_write_tokens"],
        "out": tokens["output_tokens"],
        "": attempts,
    }
    per_component: dict[str, list[Floats]] = {name: [] for name in FACTORS[:-1]}
    for component, (held, own) in _COMPONENT_TOKENS.items():
        per_component["volume"].append(volume)
        per_component["retries"].append(_ratio(in_scope["requests"], volume))
        per_component["model_mix"].append(_ratio(attempts, in_scope["requests"]))
        per_component["tokens_per_request"].append(_ratio(group[held], attempts))
        per_component["cache"].append(_ratio(tokens[own], group[held]))
        per_component["price"].append(
            _ratio(cells[component].to_numpy(dtype=float) / 1e9, tokens[own])
        )
    return {name: np.array(parts) for name, parts in per_component.items()}


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _summed(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sums by keys, of whole numbers: exact in any order."""
    return rows.groupby(keys, sort=True)[[*_SUMS, "logical_calls"]].sum().reset_index()


def _nano(usd: pd.Series) -> pd.Series:
    """Dollars as whole nano-dollars, the money type of the database."""
    whole = [0 if each is None else int(each.scaleb(9)) for each in usd]
    return pd.Series(whole, usd.index, dtype=np.int64)


def _usd(nano: int) -> Decimal:
    return Decimal(int(nano)).scaleb(-9)
