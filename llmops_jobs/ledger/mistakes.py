"""What calls would cost under mistakes that are known to be made; the audit tries them in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.days import start_of
from llmops_jobs.ledger.book import NOON, Context, Price, PriceBook
from llmops_jobs.ledger.pricing import COLUMNS, price

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Amount = Callable[[pa.Table], Floats]


def mistakes(book: PriceBook, differing: pa.Table) -> Iterator[tuple[str, Amount]]:
    """Cause and what calls would cost if it were so, the more telling ones first.

    `differing` are the calls in question: the dates of their models' prices are tried.
    """
    bundled = PriceBook(book.bundled)
    if book.overrides:
        yield "own_price", partial(_again, bundled)
    yield "ignored_tier", partial(_again, _StandardRates(book.bundled, book.overrides))
    for day in _price_dates(book, differing):
        yield "frozen_price", partial(_at_the_price_of, day, book)
        if book.overrides:
            yield "frozen_price", partial(_at_the_price_of, day, bundled)
    yield "overlapping_buckets", _cache_counted_twice
    yield "overlapping_buckets", _reasoning_counted_twice
    yield "ignored_cache", _cache_at_full_price
    yield "ignored_extras", lambda calls: floats(calls["cost_usd"]) - floats(calls["other_usd"])


def _again(book: PriceBook, calls: pa.Table) -> Floats:
    rows = price(book, calls.select(COLUMNS))
    theirs = true(pc.equal(rows["price_status"], "reported"))
    return np.where(theirs, np.nan, floats(rows["cost_usd"]))


def _at_the_price_of(day: date, book: PriceBook, calls: pa.Table) -> Floats:
    return _again(book, _at(calls, start_of(day)))


def _cache_counted_twice(calls: pa.Table) -> Floats:
    cached, price_of_fresh = _cache(calls)
    return floats(calls["cost_usd"]) + cached * price_of_fresh


def _cache_at_full_price(calls: pa.Table) -> Floats:
    cached, price_of_fresh = _cache(calls)
    discounted = floats(calls["cache_read_usd"]) + floats(calls["cache_write_usd"])
    return floats(calls["cost_usd"]) - discounted + cached * price_of_fresh


def _reasoning_counted_twice(calls: pa.Table) -> Floats:
    parts = ("input_usd", "cache_read_usd", "cache_write_usd", "other_usd")
    output = floats(calls["cost_usd"]) - sum(floats(calls[name]) for name in parts)
    share = _tokens(calls, "reasoning_tokens") / np.maximum(_tokens(calls, "output_tokens"), 1)
    return floats(calls["cost_usd"]) + output * share


def _cache(calls: pa.Table) -> tuple[Floats, Floats]:
    """Cached and written tokens, and dollars for a fresh one (NaN where there was none)."""
    cached = _tokens(calls, "cache_read_tokens") + _tokens(calls, "cache_write_tokens")
    fresh = _tokens(calls, "input_tokens") - cached
    with np.errstate(divide="ignore", invalid="ignore"):
        return cached, np.where(fresh > 0, floats(calls["input_usd"]) / fresh, np.nan)


class _StandardRates(PriceBook):
    """The same book for somebody who knows no tiers, batches or long contexts."""

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
        return super().tiers(provider, model, day, request_model=request_model)[:1]


def _price_dates(book: PriceBook, calls: pa.Table) -> list[date]:
    """Days on which a price of these models came into force, and one before them all."""
    pairs = calls.group_by(["provider", "model"]).aggregate([]).to_pylist()
    starts = {date(1970, 1, 2)}
    for pair in pairs:
        starts |= set(book.bundled.history(pair["provider"], pair["model"]))
    for override in book.overrides:
        starts |= {day for day in (override.first, override.end) if day is not None}
    return sorted(starts)


def _at(calls: pa.Table, instant: datetime) -> pa.Table:
    place = calls.schema.get_field_index("start_time")
    kind = calls.schema.field(place).type
    moved = pa.repeat(pa.scalar(instant, kind), calls.num_rows)
    return calls.set_column(place, "start_time", moved)


def _tokens(calls: pa.Table, name: str) -> Floats:
    return np.asarray(pc.fill_null(calls[name], 0).to_numpy(), dtype=float)


def floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)


def true(column: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(column, False).to_numpy(), dtype=bool)
