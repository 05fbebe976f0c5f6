"""Pricing a table of calls: each distinct way of calling is looked up once, amounts are columns.

All sums are integers (femto-dollars, rounded once per call and component to pico-dollars), so the
same facts give the same cents in any order and on any machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.lake import schema
from llmops_jobs.ledger.units import COMPONENT, COMPONENTS, FEMTO_PER_PICO, USAGE_TYPES
from llmops_jobs.ledger.usage import TOKEN_COLUMNS, Bools, Ints, Quantities, quantities
from llmops_jobs.ledger.ways import STATUSES, PriceRows, price_rows

if TYPE_CHECKING:
    from llmops_jobs.ledger.book import PriceBook

#: The columns of `observations` that pricing reads.
COLUMNS: Final = (
    *("trace_id", "observation_id", "start_time", "level", "provider", "model", "request_model"),
    *("model_parameters", "is_model_call", *TOKEN_COLUMNS, "usage_details", "usage_issue"),
    "reported_cost_usd",
)

_ISSUES = (
    *("", "missing_model", "missing_price", "missing_usage"),
    *("negative_tokens", "implausible_tokens", "overlapping_tokens", "incomplete_tokens"),
    *("unpriced_usage", "unpriced_tier"),
)


def price(book: PriceBook, observations: pa.Table) -> pa.Table:
    """The model calls of `observations` as rows of the lake's `costs`.

    Statuses: `override` (own price file), `list` (bundled book), `reported` (no price here, the
    source's cost is taken), `unpriced` (nobody knows: `cost_usd` is null). A failed call that used
    nothing costs nothing, whoever the model: it is `list` or `override`, never `unpriced`.
    """
    calls = model_calls(observations)
    if calls.num_rows == 0:
        return schema.empty("costs").drop_columns(list(schema.PARTITION))
    units = quantities(calls)
    row, table = price_rows(book, calls)
    amounts, unpriced_usage = _amounts(units, row, table)
    return _decide(calls, units, row, table, amounts, unpriced_usage, book.hash)


def model_calls(observations: pa.Table) -> pa.Table:
    wanted = observations["is_model_call"]
    return observations if pc.all(wanted).as_py() else observations.filter(wanted)


def with_costs(calls: pa.Table, costs: pa.Table) -> pa.Table:
    """Calls with the columns of their cost rows.

    `costs` is written in the order of the calls it was made from: where that order was kept, no
    join is needed.
    """
    keys = _keys(costs)
    if same_calls(calls, costs):
        for name in costs.drop_columns(keys).column_names:
            calls = calls.append_column(name, costs[name])
        return calls
    return calls.join(costs, keys, join_type="inner").combine_chunks()


def same_calls(calls: pa.Table, costs: pa.Table) -> bool:
    """Whether the cost rows are those of the calls, in their order."""
    return calls.num_rows == costs.num_rows and all(
        calls[key].combine_chunks().equals(costs[key].combine_chunks()) for key in _keys(costs)
    )


def _keys(costs: pa.Table) -> list[str]:
    return [key for key in ("day", "trace_id", "observation_id") if key in costs.column_names]


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
        [by_book, np.full(n, STATUSES.index("list")), np.full(n, STATUSES.index("reported"))],
        STATUSES.index("unpriced"),
    )
    ordinary = ours & known
    if table.ids:
        ordinary &= table.ordinary[np.maximum(row, 0)]
    no_model = np.asarray(pc.equal(calls["model"], "").to_numpy(), dtype=bool)
    issue = np.select(
        [
            *(units.negative, units.implausible, free_failure),
            *(~known & no_model, ~known, nothing_used, units.overlapping),
            *(units.incomplete, unpriced_usage, ordinary),
        ],
        [
            _ISSUES.index(name)
            for name in (
                *("negative_tokens", "implausible_tokens", ""),
                *("missing_model", "missing_price", "missing_usage"),
                *("overlapping_tokens", "incomplete_tokens", "unpriced_usage", "unpriced_tier"),
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
        "price_status": _labels(status, STATUSES),
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
