"""The distinct ways of calling in a table of calls, and the row of the price book for each call.

A day of a million calls has a few hundred ways of calling: provider, model, service tier, day,
off-peak or not. Each is looked up once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.ledger.units import USAGE_TYPES
from llmops_jobs.ledger.usage import Bools, Ints

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
    ordinary: Bools  # rows that price a service tier or a batch at the ordinary rate


def price_rows(book: PriceBook, calls: pa.Table) -> tuple[Ints, PriceRows]:
    """For every call the row of the price table that holds for it, -1 where there is none."""
    keys, way = _ways_of_calling(book, calls)
    vectors: list[list[int]] = []
    prices: list[Price] = []
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
            prices.append(tier)
    table = PriceRows(
        np.asarray(vectors, dtype=np.int64).reshape(-1, len(USAGE_TYPES)),
        np.asarray([STATUSES.index(price.status) for price in prices], dtype=np.int64),
        [price.price_id for price in prices],
        np.asarray([price.ordinary for price in prices], dtype=bool),
    )
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
    if not any(word in text for word in _TELLING):
        return ()
    try:
        content = json.loads(text)
    except ValueError:
        return ()
    if not isinstance(content, dict):
        return ()
    flat = {_plain(key): value for key, value in content.items()}
    for nested in ("extra_body", "extra_headers"):
        if isinstance(flat.get(nested), dict):
            flat |= {_plain(key): value for key, value in flat.pop(nested).items()}
    for key, inner in (("service_tier", "type"), ("performance_config", "latency")):  # Bedrock's
        if isinstance(flat.get(key), dict):
            flat[key] = flat[key].get(inner)
    told = {
        key: str(flat[key]).lower()
        for key in _CONTEXT
        if isinstance(flat.get(key), str | int | float)
    }
    told.pop("service_tier", None)
    tier = next((str(flat[key]).lower() for key in _TIER_KEYS if flat.get(key)), "")
    if tier in _BATCH or any(str(flat.get(key)).lower() in _BATCH for key in _BATCH_KEYS):
        told["processing"] = "batch"
    elif tier not in _ORDINARY_TIERS:
        told["service_tier"] = tier
    return tuple(sorted((key, value) for key, value in told.items() if value != "standard"))


_TIER_KEYS: Final = ("service_tier", "processing_tier", "performance_config")
_TELLING: Final = ("tier", "Tier", "batch", "Batch", "performance", *_CONTEXT)
_BATCH_KEYS: Final = ("batch", "is_batch", "batch_api", "endpoint", "api")
_BATCH: Final = {"true", "batch", "/v1/batches", "batches", "batch_api"}


def _plain(key: str) -> str:
    """serviceTier and service-tier as service_tier."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower().replace("-", "_")
