"""The price book in force: the user's own prices laid over the bundled list prices.

Ask it for the prices of one way of calling a model on one day (`tiers`, `unit_price`), for the
price of a mix of tokens on days to come (`blended`), or to price a table of calls (`price`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmops_jobs.ledger.bundled import BundledBook, bundled_book
from llmops_jobs.ledger.entries import ListPrices
from llmops_jobs.ledger.overrides import Override, read_overrides
from llmops_jobs.ledger.settings import LedgerSettings
from llmops_jobs.ledger.units import (
    FEMTO,
    PIECE_TYPES,
    TOKEN_TYPES,
    USAGE_TYPES,
    from_femto,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Changes when the same prices would give other amounts: it is part of the book's hash.
_METHOD = 2
#: The second at which a price of a whole day is asked: off-peak prices are those of the night.
NOON: Final = 43_200

Context = tuple[tuple[str, str], ...]
_Key = tuple[str, str, date, Context, int]


@dataclass(frozen=True)
class Price:
    """What each usage type costs: one row of the book, for one context-length tier."""

    price_id: str
    status: str  # list or override
    above: int  # holds for calls with more input tokens than this
    per_unit: Mapping[str, int]  # femto-dollars a unit; types that are not billed are absent
    ordinary: bool = (
        False  # the call's service tier or batch has no price: this is the ordinary one
    )


@dataclass
class PriceBook:
    bundled: BundledBook
    overrides: tuple[Override, ...] = ()
    _tiers: dict[_Key, tuple[Price, ...]] = field(default_factory=dict, repr=False)

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits over the bundled data, the own prices and the method."""
        digest = hashlib.sha256(f"{_METHOD}:{self.bundled.hash}".encode())
        for override in self.overrides:
            told = (
                *(override.price_id, override.provider and override.provider.pattern),
                *(override.end, sorted(override.per_unit.items()), override.discount),
                override.price_as,
                [(above, sorted(prices.items())) for above, prices in override.tiers],
            )
            digest.update(repr(told).encode())
        return digest.hexdigest()[:16]

    def tiers(
        self,
        provider: str,
        model: str,
        day: date,
        *,
        request_model: str = "",
        context: Context = (),
        second: int = NOON,
    ) -> tuple[Price, ...]:
        """Prices by context-length tier, ascending from 0; empty when the book has none.

        `model` is the one that answered; `request_model` counts only where that is not known.
        (A fallback to another model must not be charged at the price of the one asked for.)
        `context` is the way of calling, such as (("service_tier", "flex"),); `second` that of the
        day (UTC) at which the call was made.
        """
        key = (provider, model or request_model, day, context, second)
        if key not in self._tiers:
            self._tiers[key] = self._find(*key)
        return self._tiers[key]

    def unit_price(
        self, provider: str, model: str, day: date, usage_type: str, *, input_tokens: int = 0
    ) -> Decimal | None:
        """USD per million tokens (per piece for piece types), None when the book has no price."""
        if usage_type not in USAGE_TYPES:
            raise ValueError(f"{usage_type!r} is not one of {', '.join(USAGE_TYPES)}")
        price = None
        for tier in self.tiers(provider, model, day):
            price = tier if input_tokens > tier.above or tier.above == 0 else price
        femto = None if price is None else price.per_unit.get(usage_type)
        if femto is None:
            return None
        return from_femto(femto, 1 if usage_type in PIECE_TYPES else 1_000_000)

    def boundaries(self, provider: str, model: str, request_model: str = "") -> tuple[int, ...]:
        """Seconds of the day at which the model's list price changes."""
        name = model or request_model
        edges = set(self.bundled.boundaries(provider, name))
        for override in self.overrides:
            if override.price_as and override.model.fullmatch(name):
                edges |= set(self.bundled.boundaries("", override.price_as))
        return tuple(sorted(edges))

    def blended(self, mix: pd.DataFrame, days: Sequence[date]) -> pd.DataFrame:
        """What a mix of tokens costs on days to come: the way known price changes reach a forecast.

        `mix` has one row per provider and model with the token columns of `usage_daily`
        (inclusive counts: input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
        reasoning_tokens) and, where it matters, `requests`. Returns `provider, model, day,
        cost_usd, usd_per_million_tokens`: the cost of that mix were it used on the day, and the
        same per million tokens in and out. Both are NaN for a model without a price and the
        latter for a mix without tokens. Context-length tiers follow the mean input per request.
        """
        from llmops_jobs.ledger.mix import blended

        return blended(self, mix, days)

    def price(self, observations: pa.Table) -> pa.Table:
        """The model calls among a day's observations as rows of the lake's `costs`."""
        from llmops_jobs.ledger.pricing import price

        return price(self, observations)

    def list_price(self, provider: str, model: str, day: date, usage_type: str) -> Decimal | None:
        """The bundled list price of a type at the lowest tier: USD per million tokens or piece."""
        prices = self.bundled.prices(provider, model, day, NOON, {}) if model else None
        femto = _complete(prices.tiers[0][1]).get(usage_type) if prices else None
        if femto is None:
            return None
        return from_femto(femto, 1 if usage_type in PIECE_TYPES else 1_000_000)

    def _find(
        self, provider: str, model: str, day: date, context: Context, second: int
    ) -> tuple[Price, ...]:
        if not model:
            return ()
        listed = self.bundled.prices(provider, model, day, second, dict(context))
        for override in self.overrides:
            if override.applies(provider, model, day, dict(context)):
                if override.price_as:
                    name = override.price_as
                    listed = self.bundled.prices("", name, day, second, dict(context))
                return _overridden(override, listed)
        if listed is None:
            return ()
        return tuple(
            Price(
                _tier_id(listed.price_id, above), "list", above, _complete(prices), listed.ordinary
            )
            for above, prices in listed.tiers
        )


def load_book(settings: LedgerSettings | None = None) -> PriceBook:
    """The book that the configuration describes; kept in memory until its file changes.

    Raises ConfigError, naming the file and the entry, for a price file that is wrong.
    """
    path = Path(settings.price_file) if settings and settings.price_file else None
    changed = path.stat().st_mtime_ns if path is not None and path.exists() else 0
    return _load(path, changed)


@lru_cache(maxsize=8)
def _load(path: Path | None, _changed: int) -> PriceBook:
    return PriceBook(bundled_book(), read_overrides(path) if path is not None else ())


def _overridden(override: Override, listed: ListPrices | None) -> tuple[Price, ...]:
    price_id, ordinary = override.price_id, False
    if override.discount is not None or override.price_as:
        ordinary = listed is not None and listed.ordinary
        price_id += "".join(re.findall("#hours=[^#>]*", listed.price_id)) if listed else ""
        kept = 1 - (override.discount or 0)
        tiers: Iterable[tuple[int, Mapping[str, int]]] = (
            (above, {kind: int(femto * kept) for kind, femto in prices.items()})
            for above, prices in (listed.tiers if listed else ())
        )
    else:
        # A contract on tokens says nothing of searches and the like: those stay at list price.
        pieces = {
            k: v for k, v in (listed.tiers[0][1] if listed else {}).items() if k in PIECE_TYPES
        }
        base = {**pieces, **override.per_unit}
        tiers = ((0, base), *((above, {**base, **prices}) for above, prices in override.tiers))
    return tuple(
        Price(_tier_id(price_id, above), "override", above, _complete(prices), ordinary)
        for above, prices in tiers
    )


def _complete(prices: Mapping[str, int]) -> dict[str, int]:
    """Prices with every token type that falls back on another one filled in."""
    filled = dict(prices)
    for kind, parent in TOKEN_TYPES.items():  # parents come before the types that need them
        if kind not in filled and parent in filled:
            filled[kind] = filled[parent]
    return filled


def _tier_id(price_id: str, above: int) -> str:
    return f"{price_id}>{above}" if above else price_id


__all__ = ["FEMTO", "Context", "Price", "PriceBook", "load_book"]
