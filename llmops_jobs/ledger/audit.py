"""Our cost of every call beside the source's, and the cause of each difference.

A cause is found by pricing the differing calls again under a mistake that is known to be made
(yesterday's price, no cache discount, ...) and seeing whether the source's amount comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.days import start_of
from llmops_jobs.lake.schema import USD
from llmops_jobs.ledger.book import Context, Price, PriceBook
from llmops_jobs.ledger.pricing import COLUMNS, price

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Columns of `observations` that the audit reads.
READ: Final = (*COLUMNS, "cost_details")

#: Cause -> what it says. A call has the first that holds.
CAUSES: Final[dict[str, str]] = {
    "agreed": "the amounts are equal within the tolerance",
    "unpriced": "neither knows a cost",
    "missing_price_here": "this book has no price; the source's cost is counted",
    "missing_price": "the source has no cost for a call that this book prices",
    "missing_total": "the source's cost lacks its total, which it then shows as zero",
    "failed_calls": "a failed call that only one of the two charges for",
    "own_price": "the source charges the list price, the own price file another",
    "ignored_tier": "the source charges the standard rate for another tier, batch or long context",
    "frozen_price": "the source charges a price of another time: it never prices again",
    "overlapping_buckets": "the source counts cached or reasoning tokens twice",
    "ignored_cache": "the source charges cached tokens as new ones",
    "ignored_extras": "the source leaves out requests, searches, audio or images",
    "incomplete_tokens": "the reported counts do not add up",
    "other_price": "the source charges another price; compare its model definition with the book",
    "not_a_model_call": "cost on a row that is not a model call (a roll-up would count twice)",
}


def audit(
    book: PriceBook, observations: pa.Table, costs: pa.Table, tolerance: float
) -> pd.DataFrame:
    """One row per model and cause: `requests, cost_usd, reported_cost_usd, difference_usd`.

    The differences of a day sum to our spend minus the source's.
    """
    joined = _joined(observations, costs)
    calls = joined.filter(pc.field("is_model_call"))
    cause = np.full(calls.num_rows, "", dtype=object)
    for name, holds in _judged(book, calls, tolerance):
        cause[(cause == "") & holds] = name
    others = joined.filter(~pc.field("is_model_call") & (pc.field("reported_cost_usd") > _NOTHING))
    labelled = pa.concat_tables(
        [
            calls.select(_SUMMED).append_column("cause", pa.array(cause, pa.string())),
            others.select(_SUMMED).append_column(
                "cause", pa.repeat(pa.scalar("not_a_model_call"), others.num_rows)
            ),
        ]
    )
    sums = labelled.group_by(["model", "cause"]).aggregate(
        [("model", "count"), ("cost_usd", "sum"), ("reported_cost_usd", "sum")]
    )
    rows = sums.sort_by([("model", "ascending"), ("cause", "ascending")]).to_pandas()
    rows = rows.rename(
        columns={
            "model_count": "requests",
            "cost_usd_sum": "cost_usd",
            "reported_cost_usd_sum": "reported_cost_usd",
        }
    )
    for name in ("cost_usd", "reported_cost_usd"):
        rows[name] = [Decimal(0) if usd is None else usd for usd in rows[name]]
    return rows.assign(difference_usd=rows["cost_usd"] - rows["reported_cost_usd"])


_NOTHING = pa.scalar(Decimal(0), USD)
_SUMMED = ["model", "cost_usd", "reported_cost_usd"]


def _joined(observations: pa.Table, costs: pa.Table) -> pa.Table:
    keys = ["trace_id", "observation_id"]
    names = ["cost_usd", "price_status", "issue", "input_usd", "cache_read_usd"]
    kept = costs.select([*keys, *names, "cache_write_usd", "other_usd"])
    read = observations.select(READ)
    return read.join(kept, keys, join_type="left outer").combine_chunks()


def _judged(
    book: PriceBook, calls: pa.Table, tolerance: float
) -> Iterator[tuple[str, Bools | bool]]:
    """Every cause with the calls that it holds for, in the order of CAUSES."""
    ours, theirs = _float(calls["cost_usd"]), _float(calls["reported_cost_usd"])
    known, told = ~np.isnan(ours), ~np.isnan(theirs)
    status = calls["price_status"]
    counted_theirs = _true(pc.equal(status, "reported"))

    def near(amount: Floats) -> Bools:
        """The source's amount is this one."""
        with np.errstate(invalid="ignore"):
            off: Bools = np.abs(theirs - amount) <= np.maximum(tolerance * np.abs(amount), 1e-9)
        return off

    details = pc.fill_null(calls["cost_details"], "")
    yield "missing_price_here", counted_theirs
    yield "unpriced", ~known & ~told
    without_total = ~_true(pc.match_substring(details, '"total"'))
    yield "missing_total", without_total & _true(pc.match_substring(details, ":")) & told
    yield "agreed", known & told & near(ours)
    failed = _true(pc.equal(calls["level"], "ERROR"))
    yield "agreed", ~told & failed & (ours == 0)
    yield "failed_calls", failed & (told != known) | failed & ((ours == 0) != (theirs == 0))
    yield "missing_price", ~told

    open_rows = np.flatnonzero(known & told & ~near(ours) & ~counted_theirs)
    for name, amount in _mistakes(book, calls, open_rows):
        holds = np.zeros(calls.num_rows, dtype=bool)
        full = np.full(calls.num_rows, np.nan)
        full[open_rows] = amount
        holds[open_rows] = near(full)[open_rows]
        yield name, holds
    issue = calls["issue"]
    yield "overlapping_buckets", _true(pc.equal(issue, "overlapping_tokens"))
    yield "incomplete_tokens", _true(pc.equal(issue, "incomplete_tokens"))
    yield "other_price", True


def _mistakes(book: PriceBook, calls: pa.Table, rows: Ints) -> Iterator[tuple[str, Floats]]:
    """What the calls would cost under each mistake; they are priced again once for each."""
    if not len(rows):
        return
    open_calls = calls.take(pa.array(rows))

    def again(other: PriceBook, changed: pa.Table = open_calls) -> Floats:
        rows = price(other, changed.select(COLUMNS))
        theirs = _true(pc.equal(rows["price_status"], "reported"))
        return np.where(theirs, np.nan, _float(rows["cost_usd"]))

    bundled = PriceBook(book.bundled)
    if book.overrides:
        yield "own_price", again(bundled)
    yield "ignored_tier", again(_StandardRates(book.bundled, book.overrides))
    for day in _other_price_dates(book, open_calls):
        moved = _at(open_calls, start_of(day))
        yield "frozen_price", again(book, moved)
        if book.overrides:
            yield "frozen_price", again(bundled, moved)
    ours = _float(open_calls["cost_usd"])
    cached = _tokens(open_calls, "cache_read_tokens") + _tokens(open_calls, "cache_write_tokens")
    fresh = _tokens(open_calls, "input_tokens") - cached
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(fresh > 0, _float(open_calls["input_usd"]) / fresh, np.nan)
    yield "overlapping_buckets", ours + cached * each
    reasoning = _tokens(open_calls, "reasoning_tokens")
    answered = np.maximum(_tokens(open_calls, "output_tokens"), 1)
    spoken = ours - sum(
        _float(open_calls[name])
        for name in ("input_usd", "cache_read_usd", "cache_write_usd", "other_usd")
    )
    yield "overlapping_buckets", ours + spoken * reasoning / answered
    discounted = _float(open_calls["cache_read_usd"]) + _float(open_calls["cache_write_usd"])
    yield "ignored_cache", ours - discounted + cached * each
    yield "ignored_extras", ours - _float(open_calls["other_usd"])


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
        second: int = 0,
    ) -> tuple[Price, ...]:
        return super().tiers(provider, model, day, request_model=request_model)[:1]


def _other_price_dates(book: PriceBook, calls: pa.Table) -> list[date]:
    """Days on which some price of these models held that is not the one of their own day."""
    pairs = calls.group_by(["provider", "model"]).aggregate([]).to_pylist()
    starts = {date(1970, 1, 2)}
    for pair in pairs:
        starts |= set(book.bundled.history(pair["provider"], pair["model"]))
    for override in book.overrides:
        starts |= {day for day in (override.first, override.end) if day is not None}
    return sorted(starts)


def _at(calls: pa.Table, instant: datetime) -> pa.Table:
    kind = calls.schema.field("start_time").type
    place = calls.schema.get_field_index("start_time")
    return calls.set_column(
        place, "start_time", pa.repeat(pa.scalar(instant, kind), calls.num_rows)
    )


def _tokens(calls: pa.Table, name: str) -> Floats:
    return np.asarray(pc.fill_null(calls[name], 0).to_numpy(), dtype=float)


def _float(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)


def _true(column: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(column, False).to_numpy(), dtype=bool)
