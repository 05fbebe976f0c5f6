"""The distinct ways of calling in a table of calls, and the row of the price book for each call.

A day of a million calls has a few hundred ways of calling: provider, model, service tier, day,
off-peak or not. Each is looked up once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.ledger.units import USAGE_TYPES
from llmops_jobs.ledger.usage import Ints

if TYPE_CHECKING:
    from llmops_jobs.ledger.book import Context, Price, PriceBook

STATUSES: Final = ("reported", "list", "override", "unpriced")

_EPOCH = date(1970, 1, 1)
_CONTEXT = ("service_tier", "processing", "speed", "search_type", "route")
_ORDINARY_TIERS = {"", "auto", "default", "standard", "standard_only", "on_demand"}


@dataclass
class PriceRows:
    """Rows of the price book that the calls of one table need, as arrays."""

    femto: Ints  # (row, usage type); -1 where the book has no price
    status: Ints
    ids: list[str]


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
            statuses.append(STATUSES.index(tier.status))
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
