"""Known changes of price: the past read at today's prices, the future at the prices of its days.

A forecast of money is a forecast of tokens times the price book. Where a model's price changes
inside the history, its past cost is restated at the prices of the night, so that a cut in price is
no fall in demand; where it changes ahead, the cost of the days from then on is scaled by the new
price of the mix of tokens of the last four weeks. Models whose price stays are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from llmops_jobs.forecast.history import COST, TOKEN_TYPES, History

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.ledger.book import PriceBook
    from llmops_jobs.store import Database

Floats = NDArray[np.float64]

_MIX_DAYS = 28
_PRICED = ("list", "override")  # cost that follows the book; what the source reports does not


@dataclass(frozen=True)
class PriceChanges:
    """The models whose price changes between the first day read and the last day forecast."""

    book: PriceBook
    first: date
    models: list[tuple[str, str]]  # (provider, model)
    segment: list[list[date]]  # per model, the days from which a price holds; the first day first
    mix: Floats  # (models, days, token types and requests)
    cost: dict[str, Floats]  # dimension ('' the total) -> (models, days, values)
    span: int  # days from the first day read to the last one forecast
    _known: dict[int, Floats] = field(default_factory=dict, repr=False)
    _paid: dict[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    def unit_prices(self, end: int) -> Floats:
        """`(models, span)` from the first day: cost of the mix before row `end` on each day."""
        if end not in self._known:
            self._known[end] = self._unit_prices(end)
        return self._known[end]

    def _unit_prices(self, end: int) -> Floats:
        import pandas as pd

        recent = self.mix[:, max(0, end - _MIX_DAYS) : end].sum(axis=1)
        prices = np.ones((len(self.models), self.span))
        for at, (provider, model) in enumerate(self.models):
            used = dict(zip((*TOKEN_TYPES, "requests"), recent[at], strict=True))
            row = pd.DataFrame([{"provider": provider, "model": model} | used])
            costs = self.book.blended(row, self.segment[at])["cost_usd"].to_numpy()
            for begins, cost in zip(self.segment[at], costs, strict=True):
                prices[at, max((begins - self.first).days, 0) :] = cost
        return np.where(np.isfinite(prices) & (prices > 0), prices, np.nan)

    def restated(self, amounts: Floats, dimension: str, columns: list[int], end: int) -> Floats:
        """Daily cost of one scope up to row `end`, at the prices of the day before it."""
        if not self._touches(dimension, columns):
            return amounts
        prices = self.unit_prices(end)[:, :end]
        ratio = np.nan_to_num(prices[:, -1:] / prices, nan=1.0)
        own = self._own(dimension, columns)[:, :end]
        return np.asarray(amounts + (own * (ratio - 1.0)).sum(axis=0))

    def ahead(
        self, amounts: Floats, dimension: str, columns: list[int], end: int, horizon: int
    ) -> Floats:
        """`(horizon,)`: what prices to come make of each dollar at tonight's prices."""
        if not self._touches(dimension, columns):
            return np.ones(horizon)
        prices = self.unit_prices(end)
        ratio = np.nan_to_num(prices[:, end : end + horizon] / prices[:, end - 1 : end], nan=1.0)
        recent = slice(max(0, end - _MIX_DAYS), end)
        own = self._own(dimension, columns)[:, recent]
        past = np.nan_to_num(prices[:, end - 1 : end] / prices[:, recent], nan=1.0)
        whole = max(float(np.nansum(amounts[recent])), 1e-12)
        share = (own * past).sum(axis=1) / whole
        return np.asarray(1.0 + (share[:, None] * (ratio - 1.0)).sum(axis=0))

    def _touches(self, dimension: str, columns: list[int]) -> bool:
        """Whether a scope ever paid for a model whose price changes: most never did."""
        if not dimension:
            return True
        if dimension not in self._paid:
            self._paid[dimension] = np.any(self.cost[dimension] != 0, axis=(0, 1))
        return bool(self._paid[dimension][columns].any())

    def _own(self, dimension: str, columns: list[int]) -> Floats:
        cost = self.cost[dimension]
        return cost[:, :, columns].sum(axis=2) if dimension else cost[:, :, 0]


def price_changes(
    database: Database, history: History, book: PriceBook, last: date
) -> PriceChanges | None:
    """The changes of price that a forecast up to `last` needs; None where there are none."""
    rows = _by_model(database, history)
    models, segments = [], []
    span = (last - history.first).days + 1
    for provider, model in sorted(set(zip(rows["provider"], rows["model"], strict=True))):
        segment = _segments(book, provider, model, history.first, span)
        if len(segment) > 1:
            models.append((provider, model))
            segments.append(segment)
    if not models:
        return None
    position = {name: at for at, name in enumerate(models)}
    rows = rows[[(p, m) in position for p, m in zip(rows["provider"], rows["model"], strict=True)]]
    mix = np.zeros((len(models), len(history.known), len(TOKEN_TYPES) + 1))
    cost = {"": np.zeros((len(models), len(history.known), 1))}
    _add(mix, rows, position, history, (*TOKEN_TYPES, "requests"))
    _add(cost[""], rows, position, history, (COST,))
    for dimension, block in history.blocks.items():
        cost[dimension] = np.zeros((len(models), len(history.known), len(block.values)))
        split = _by_model(database, history, dimension)
        split = split[
            [(p, m) in position for p, m in zip(split["provider"], split["model"], strict=True)]
        ]
        at = {value: number for number, value in enumerate(block.values)}
        index = _index(split, position, history)
        column = [at[str(value)] for value in split["value"]]
        np.add.at(cost[dimension], (*index, column), split[COST].to_numpy(dtype=np.float64))
    return PriceChanges(book, history.first, models, segments, mix, cost, span)


def _segments(book: PriceBook, provider: str, model: str, first: date, span: int) -> list[date]:
    found: list[date] = []
    before: object = None
    for number in range(span):
        day = first + timedelta(days=number)
        tiers = book.tiers(provider, model, day)
        prices = [(tier.above, sorted(tier.per_unit.items())) for tier in tiers]
        if not found or prices != before:
            found.append(day)
            before = prices
    return found


def _index(
    rows: pd.DataFrame, position: dict[tuple[str, str], int], history: History
) -> tuple[list[int], list[int]]:
    models = [position[p, m] for p, m in zip(rows["provider"], rows["model"], strict=True)]
    return models, [history.index(day) for day in rows["day"]]


def _add(
    table: Floats,
    rows: pd.DataFrame,
    position: dict[tuple[str, str], int],
    history: History,
    columns: Sequence[str],
) -> None:
    index = _index(rows, position, history)
    for number, name in enumerate(columns):
        np.add.at(table, (*index, number), rows[name].to_numpy(dtype=np.float64))


def _by_model(database: Database, history: History, dimension: str | None = None) -> pd.DataFrame:
    """Priced product usage by day, provider and model, and by a dimension where one is given."""
    from llmops_jobs.store.tables.ledger import usage_daily as usage

    keys = [usage.c.day, usage.c.provider, usage.c.model]
    chosen = [*keys, usage.c[dimension].label("value")] if dimension else keys
    sums = [
        sa.type_coerce(sa.func.sum(usage.c[name]), sa.Double).label(name)
        for name in (COST, *TOKEN_TYPES, "requests")
    ]
    last = history.first + timedelta(days=len(history.known) - 1)
    query = (
        sa.select(*chosen, *sums)
        .where(
            usage.c.project_id == history.project,
            usage.c.day >= history.first,
            usage.c.day <= last,
            usage.c.is_evaluation.is_(False),
            usage.c.price_status.in_(_PRICED),
        )
        .group_by(*(column.element if hasattr(column, "element") else column for column in chosen))
    )
    return database.read(query)
