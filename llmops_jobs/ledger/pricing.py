"""Pricing a table of calls: each distinct way of calling is looked up once, amounts are columns.

All sums are integers (femto-dollars, rounded once per call and component to pico-dollars), so the
same facts give the same cents in any order and on any machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.lake import schema
from llmops_jobs.ledger.units import COMPONENT, COMPONENTS, FEMTO_PER_PICO, USAGE_TYPES
from llmops_jobs.ledger.usage import TOKEN_COLUMNS, Bools, Ints, Quantities, quantities

if TYPE_CHECKING:
    from llmops_jobs.ledger.book import Context, Price, PriceBook

#: The columns of `observations` that pricing reads.
COLUMNS: Final = (
    *("trace_id", "observation_id", "start_time", "level", "provider", "model", "request_model"),
    *("model_parameters", "is_model_call", *TOKEN_COLUMNS, "usage_details", "usage_issue"),
    "reported_cost_usd",
)

_EPOCH = date(1970, 1, 1)
_CONTEXT = ("service_tier", "processing", "speed", "search_type", "route")
_ORDINARY_TIERS = {"", "auto", "default", "standard", "standard_only", "on_demand"}
_ISSUES = (
    *("", "missing_model", "missing_price", "missing_usage"),
    *("negative_tokens", "implausible_tokens", "overlapping_tokens", "incomplete_tokens"),
    "unpriced_usage",
)
_STATUSES = ("reported", "list", "override", "unpriced")


@dataclass
class PriceRows:
    """Rows of the price book that the calls of one table need, as arrays."""

    femto: Ints  # (row, usage type); -1 where the book has no price
    status: Ints
    ids: list[str]


def price(book: PriceBook, observations: pa.Table) -> pa.Table:
    """The model calls of `observations` as rows of the lake's `costs`.

    Statuses: `override` (own price file), `list` (bundled book), `reported` (no price here, the
    source's cost is taken), `unpriced` (nobody knows: `cost_usd` is null). A failed call that used
    nothing costs nothing, whoever the model: it is `list` or `override`, never `unpriced`.
    """
    calls = observations.filter(pc.field("is_model_call"))
    if calls.num_rows == 0:
        return schema.empty("costs").drop_columns(list(schema.PARTITION))
    units = quantities(calls)
    row, table = price_rows(book, calls)
    amounts, unpriced_usage = _amounts(units, row, table)
    return _decide(calls, units, row, table, amounts, unpriced_usage, book.hash)


def price_rows(book: PriceBook, calls: pa.Table) -> tuple[Ints, PriceRows]:
    """For every call the row of the price table that holds for it, -1 where there is none."""
    keys, way = _ways_of_calling(book, calls)
    table = PriceRows(np.zeros((0, len(USAGE_TYPES)), np.int64), np.zeros(0, np.int64), [])
    vectors: list[list[int]] = []
    statuses: list[int] = []
    first = np.full(len(keys), -1, dtype=np.int64)
    thresholds: dict[int, list[int]] = {}
    for number, (provider, model, request_model, context, day, second) in enumerate(keys):
        tiers = book.tiers(
            *(provider, model, day),
            request_model=request_model,
            context=context,
            second=second,
        )
        if tiers:
            first[number] = len(vectors)
        if len(tiers) > 1:
            thresholds[number] = [tier.above for tier in tiers[1:]]
        for tier in tiers:
            vectors.append(_vector(tier))
            statuses.append(_STATUSES.index(tier.status))
            table.ids.append(tier.price_id)
    if vectors:
        table.femto = np.asarray(vectors, dtype=np.int64)
        table.status = np.asarray(statuses, dtype=np.int64)
    row = first[way]
    if thresholds:
        tokens = np.asarray(pc.fill_null(calls["input_tokens"], 0).to_numpy())
        for step in range(max(len(each) for each in thresholds.values())):
            above = np.full(len(keys), np.iinfo(np.int64).max)
            for number, each in thresholds.items():
                if step < len(each):
                    above[number] = each[step]
            row = row + (tokens > above[way])
    return row, table


def _vector(tier: Price) -> list[int]:
    return [tier.per_unit.get(kind, -1) for kind in USAGE_TYPES]


_Key = tuple[str, str, str, "Context", date, int]


def _ways_of_calling(book: PriceBook, calls: pa.Table) -> tuple[list[_Key], Ints]:
    """The distinct (provider, model, request model, context, day, second) and each call's one."""
    import pandas as pd

    contexts, context = _contexts(calls["model_parameters"])
    seconds = np.asarray(calls["start_time"].cast(pa.int64()).to_numpy()) // 1_000_000
    days = seconds // 86_400
    names = [_encoded(calls[name]) for name in ("provider", "model", "request_model")]
    unique_days, day = np.unique(days, return_inverse=True)
    sizes = [*(len(values) for values, _ in names), len(contexts), len(unique_days)]
    combined = np.zeros(calls.num_rows, dtype=np.int64)
    for size, codes in zip(sizes, [*(codes for _, codes in names), context, day], strict=True):
        combined = combined * max(size, 1) + codes
    way, _ = pd.factorize(combined)
    _, at = np.unique(way, return_index=True)
    keys: list[_Key] = [
        (
            *(values[codes[i]] for values, codes in names),
            contexts[context[i]],
            _EPOCH + timedelta(days=int(days[i])),
            0,
        )
        for i in at.tolist()
    ]
    return _split_by_time_of_day(book, keys, np.asarray(way, dtype=np.int64), seconds % 86_400)


def _split_by_time_of_day(
    book: PriceBook, keys: list[_Key], way: Ints, second: Ints
) -> tuple[list[_Key], Ints]:
    for number, key in enumerate(list(keys)):
        edges = book.boundaries(key[0], key[1], key[2])
        if not edges:
            continue
        rows = np.flatnonzero(way == number)
        slot = np.searchsorted(np.asarray(edges), second[rows], side="right")
        for each in np.unique(slot).tolist():
            if each > 0:
                way[rows[slot == each]] = len(keys)
                keys.append((*key[:5], edges[each - 1]))
    return keys, way


def _encoded(column: pa.ChunkedArray) -> tuple[list[str], Ints]:
    encoded = pc.fill_null(column, "").combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), np.asarray(encoded.indices.to_numpy(), dtype=np.int64)


def _contexts(parameters: pa.ChunkedArray) -> tuple[list[Context], Ints]:
    texts, codes = _encoded(parameters)
    contexts = [_context(text) for text in texts]
    unique = list(dict.fromkeys(contexts)) or [()]
    number = {context: i for i, context in enumerate(unique)}
    return unique, np.asarray([number[context] for context in contexts], dtype=np.int64)[codes]


def _context(text: str) -> Context:
    """The way of calling that model parameters tell: service tier, batch, fast mode."""
    if not any(word in text for word in ("tier", "Tier", "batch", *_CONTEXT)):
        return ()
    try:
        content = json.loads(text)
    except ValueError:
        return ()
    if not isinstance(content, dict):
        return ()
    told = {key: str(content[key]).lower() for key in _CONTEXT if content.get(key) is not None}
    tier = str(content.get("service_tier") or content.get("serviceTier") or "").lower()
    told.pop("service_tier", None)
    if tier == "batch" or content.get("batch") is True:
        told["processing"] = "batch"
    elif tier not in _ORDINARY_TIERS:
        told["service_tier"] = tier
    return tuple(sorted((key, value) for key, value in told.items() if value != "standard"))


def _amounts(units: Quantities, row: Ints, table: PriceRows) -> tuple[dict[str, Ints], Bools]:
    """Whole pico-dollars of every component, and which calls used something without a price."""
    femto = {name: np.zeros(len(row), dtype=np.int64) for name in COMPONENTS}
    missing = np.zeros(len(row), dtype=bool)
    if not table.ids:
        return femto, missing
    priced = row >= 0
    for kind, used in units.by_type.items():
        prices = table.femto[:, USAGE_TYPES.index(kind)]
        if kind != "request" and prices.min() < 0:
            missing |= priced & (used > 0) & (prices[row] < 0)
        if prices.max() <= 0:
            continue
        at = np.where(priced, np.maximum(prices, 0)[row], 0)
        if int(used.max()) * int(at.max()) >= 2**60:
            used = _capped(used, at)
            missing |= used < 0
            used = np.maximum(used, 0)
        femto[COMPONENT.get(kind, "other_usd")] += used * at
    return {name: to_pico(value) for name, value in femto.items()}, missing


def _capped(used: Ints, at: Ints) -> Ints:
    """Quantities whose amount fits 64 bits (over a thousand dollars a call is no call): else -1."""
    return np.where(used.astype(float) * at.astype(float) < 2.0**60, used, -1)


def to_pico(femto: Ints) -> Ints:
    """Rounded half to even."""
    whole, rest = np.divmod(femto, FEMTO_PER_PICO)
    half = FEMTO_PER_PICO // 2
    up: Ints = whole + ((rest > half) | ((rest == half) & (whole % 2 == 1)))
    return up


def _decide(
    calls: pa.Table,
    units: Quantities,
    row: Ints,
    table: PriceRows,
    amounts: dict[str, Ints],
    unpriced_usage: Bools,
    book_hash: str,
) -> pa.Table:
    """One status, amount and issue for every call."""
    n = calls.num_rows
    known = row >= 0
    per_request = known.copy()
    if table.ids:
        per_request &= table.femto[row, USAGE_TYPES.index("request")] > 0
    usable = ~units.unusable
    nothing_used = usable & ~units.consumed() & ~per_request
    failed = np.asarray(pc.equal(calls["level"], "ERROR").to_numpy(), dtype=bool)
    free_failure = nothing_used & failed
    ours = (known & usable & ~nothing_used) | free_failure
    has_reported = np.asarray(calls["reported_cost_usd"].is_valid().to_numpy(), dtype=bool)
    theirs = ~ours & has_reported
    by_book = table.status[np.maximum(row, 0)] if table.ids else np.zeros(n, np.int64)
    status = np.select(
        [ours & known, ours, theirs],
        [by_book, np.full(n, _STATUSES.index("list")), np.full(n, _STATUSES.index("reported"))],
        _STATUSES.index("unpriced"),
    )
    no_model = np.asarray(pc.equal(calls["model"], "").to_numpy(), dtype=bool)
    issue = np.select(
        [
            *(units.negative, units.implausible, free_failure),
            *(~known & no_model, ~known, nothing_used, units.overlapping),
            *(units.incomplete, unpriced_usage),
        ],
        [
            _ISSUES.index(name)
            for name in (
                *("negative_tokens", "implausible_tokens", ""),
                *("missing_model", "missing_price", "missing_usage"),
                *("overlapping_tokens", "incomplete_tokens", "unpriced_usage"),
            )
        ],
        0,
    )
    zero = free_failure | ~ours
    parts = {name: np.where(zero, 0, value) for name, value in amounts.items()}
    total = sum(parts.values(), np.zeros(n, dtype=np.int64))
    reported = calls["reported_cost_usd"].combine_chunks()
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "trace_id": calls["trace_id"],
        "observation_id": calls["observation_id"],
        "cost_usd": _with_reported(_usd(total, ours), reported, theirs),
        "price_status": _labels(status, _STATUSES),
        "price_id": _labels(np.where(ours & known, row + 1, 0), ["", *table.ids]),
        **{name: _usd(value, ours | theirs) for name, value in parts.items()},
        "price_book_hash": _labels(np.zeros(n, np.int64), [book_hash]),
        "issue": _labels(issue, _ISSUES),
    }
    columns["other_usd"] = _with_reported(columns["other_usd"], reported, theirs)
    return pa.table(columns)


def _with_reported(ours: pa.Array, reported: pa.Array, theirs: Bools) -> pa.Array:
    """The source's cost where it is the only one: no part of it is known, so it is `other`."""
    return pc.if_else(pa.array(theirs), reported, ours) if theirs.any() else ours


def _usd(pico: Ints, valid: Bools) -> pa.Array:
    """Whole pico-dollars as the lake's decimal type: its 128-bit integer is the 64-bit one."""
    words = np.empty((len(pico), 2), dtype="<i8")
    words[:, 0] = pico
    words[:, 1] = pico >> 63
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(schema.USD, len(pico), [bitmap, pa.py_buffer(words.tobytes())])


def _labels(codes: npt.NDArray[np.int64], names: list[str] | tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(list(names), pa.string())
    )
