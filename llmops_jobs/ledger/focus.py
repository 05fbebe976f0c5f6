"""The ledger in FOCUS columns, one row per day, SKU and tenant.

FOCUS 1.3 names (FinOps Open Cost and Usage Specification, cost and usage data set), without the
columns that 1.3 deprecates; columns of ours begin with `x_`. A call that the price book knows is
a row for every meter (input tokens, cached input tokens, ...); a call whose cost only the source
knows, or nobody, is a row without `SkuPriceId`, its tokens in `x_ConsumedTokens`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.days import end_of, start_of
from llmops_jobs.ledger.book import PriceBook
from llmops_jobs.ledger.focus_columns import METER, SCHEMA, UNIT
from llmops_jobs.ledger.pricing import COLUMNS, model_calls, to_pico, with_costs
from llmops_jobs.ledger.units import PIECE_TYPES, USAGE_TYPES, from_femto
from llmops_jobs.ledger.usage import Ints, Quantities, ints, quantities
from llmops_jobs.ledger.ways import PriceRows, price_rows

#: Dimensions that rows can be split by, beyond the day, the SKU and the tenant.
EXTRA: Final = ("environment", "feature", "prompt_name", "prompt_version")

#: Columns of `observations` and `costs` that the export reads.
READ: Final = (*COLUMNS, "tenant", "is_evaluation", *EXTRA)
READ_COSTS: Final = ("trace_id", "observation_id", "cost_usd", "price_status", "price_book_hash")


def focus_rows(
    book: PriceBook,
    observations: pa.Table,
    costs: pa.Table,
    *,
    project: str,
    project_name: str,
    day: date,
    by: Sequence[str] = (),
) -> pa.Table:
    """One project's day. `by` splits the rows further, by dimensions of EXTRA.

    The costs must have been made with `book`: the rows sum to them.
    """
    calls = model_calls(observations.select(READ))
    known = costs.select(["trace_id", "observation_id", "cost_usd", "price_status"])
    calls = with_costs(calls, known)
    if calls.num_rows == 0:
        return SCHEMA.empty_table()
    rows = [
        {**_fixed(project, project_name, day), **_row(book, day, cell, by)}
        for cell in _cells(book, calls, by)
    ]
    rows.sort(key=lambda row: tuple(str(row[name]) for name in _ORDER))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


_ORDER = (
    *("ServiceProviderName", "x_Model", "SkuMeter", "x_PriceId", "x_PriceStatus", "Tags"),
    "x_IsEvaluation",
)


def _cells(book: PriceBook, calls: pa.Table, by: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Sums over what a row stands for: quantity and pico-dollars of one meter, or of no meter."""
    units = quantities(calls)
    row, table = price_rows(book, calls)
    keys = calls.select(["provider", "model", "tenant", "is_evaluation", "price_status", *by])
    frame = keys.to_pandas()
    if "prompt_version" in by:
        versions = frame["prompt_version"].astype("Int64").astype("string")
        frame["prompt_version"] = versions.fillna("").astype(object)
    frame["price_row"] = _same_price(table)[row] if table.ids else row
    code, cells = pd.factorize(pd.MultiIndex.from_frame(frame.astype(object)))
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(cells)))

    def summed(values: Ints) -> list[int]:
        total: list[int] = np.add.reduceat(values[order], starts).tolist()
        return total

    tokens = ints(calls["input_tokens"]) + ints(calls["output_tokens"])
    succeeded = np.asarray(pc.not_equal(calls["level"], "ERROR").to_numpy())
    counted = {
        "requests": summed(np.ones(len(code), np.int64)),
        "succeeded": summed(succeeded.astype(np.int64)),
        "tokens": summed(tokens),
        "cost": summed(_pico(calls["cost_usd"])),
    }
    used, charged = _by_meter(units, row, table, summed)
    for number, values in enumerate(cells):
        cell = dict(zip(frame.columns, values, strict=True))
        cell |= {name: sums[number] for name, sums in counted.items()}
        at = cell["price_row"]
        if cell["price_status"] not in ("list", "override"):
            yield {**cell, "price_id": "", "kind": None, "cost": _usd(cell["cost"])}
            continue
        for kind, quantity in used.items():
            femto = int(table.femto[at, USAGE_TYPES.index(kind)]) if at >= 0 else -1
            # A request is a meter only where it has a price; a failed call of an unknown model
            # used nothing and is owed nothing.
            if quantity[number] and femto >= 0 and (femto or kind != "request"):
                cost = _usd(charged[kind][number])
                meter = {"kind": kind, "quantity": quantity[number], "femto": femto, "cost": cost}
                yield {**cell, **meter, "price_id": table.ids[at]}


def _same_price(table: PriceRows) -> Ints:
    """For every row of the price table the first one with its id and prices, then -1 for none."""
    first: dict[tuple[Any, ...], int] = {}
    rows = zip(table.ids, table.femto.tolist(), strict=True)
    return np.asarray([first.setdefault((n, *f), at) for at, (n, f) in enumerate(rows)] + [-1])


def _by_meter(
    units: Quantities, row: Ints, table: PriceRows, summed: Callable[[Ints], list[int]]
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Quantity and whole pico-dollars of every meter and cell."""
    used, charged = {}, {}
    for kind, quantity in units.by_type.items():
        used[kind] = summed(quantity)
        prices = np.maximum(table.femto[:, USAGE_TYPES.index(kind)], 0)
        at = np.where(row >= 0, prices[row], 0) if len(prices) else np.zeros_like(row)
        charged[kind] = summed(to_pico(quantity * at))
    return used, charged


def _pico(usd: pa.ChunkedArray) -> Ints:
    whole = pc.fill_null(pc.multiply(usd.cast(pa.float64()), 1e12), 0)
    return np.rint(np.asarray(whole.to_numpy())).astype(np.int64)


def _usd(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-12)


def _row(book: PriceBook, day: date, cell: dict[str, Any], by: Sequence[str]) -> dict[str, Any]:
    provider, model, kind = cell["provider"], cell["model"], cell["kind"]
    cost = cell["cost"]
    seller = book.bundled.seller_name(provider, model)
    tags = {"tenant": cell["tenant"], **{name: cell[name] for name in by}}
    row = {
        "ServiceProviderName": seller,
        "HostProviderName": seller,
        "InvoiceIssuerName": seller,
        "ServiceName": f"{seller} API" if seller != "Unknown" else "Unknown",
        **dict.fromkeys(("BilledCost", "EffectiveCost", "ContractedCost", "ListCost"), cost),
        "SkuId": book.bundled.sku(provider, model),
        "SkuMeter": "Model Calls",
        "ChargeDescription": f"{model or 'unknown model'}: model calls",
        "Tags": json.dumps({k: v for k, v in tags.items() if v != ""}, ensure_ascii=False),
        "x_Model": model,
        "x_Tenant": cell["tenant"],
        "x_IsEvaluation": bool(cell["is_evaluation"]),
        "x_PriceStatus": cell["price_status"],
        "x_PriceId": cell["price_id"] or None,
        "x_PriceBookHash": book.hash,
        "x_Requests": cell["requests"],
        "x_SuccessfulRequests": cell["succeeded"],
        "x_ConsumedTokens": cell["tokens"],
        **{f"x_{''.join(w.title() for w in name.split('_'))}": cell[name] for name in by},
    }
    return row if kind is None else row | _metered(book, day, cell)


def _metered(book: PriceBook, day: date, cell: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row that has a price: meter, quantities and unit prices."""
    kind, quantity = cell["kind"], Decimal(cell["quantity"])
    piece = kind in PIECE_TYPES
    unit = UNIT.get(kind, "Requests") if piece else "Tokens"
    priced_in = quantity if piece else quantity / 1_000_000
    contracted = from_femto(cell["femto"], 1 if piece else 1_000_000)
    listed = contracted
    if cell["price_status"] == "override":
        list_price = book.list_price(cell["provider"], cell["model"], day, kind)
        listed = contracted if list_price is None else list_price
    # One SKU whatever the trace calls the model, and no dates in either id: FOCUS asks for both.
    sku = f"{book.bundled.sku(cell['provider'], cell['model'])}/{kind}"
    tier = re.sub(r"^[^#>]*", "", cell["price_id"].partition("@")[2])
    own = "/own" if cell["price_status"] == "override" else ""
    above = tier.rpartition(">")[2] if ">" in tier else ""
    facts: dict[str, Any] = {"x_AboveInputTokens": int(above)} if above else {}
    for pair in re.findall(r"#([^#>]+)", tier):
        key, _, value = pair.partition("=")
        facts[f"x_{''.join(word.title() for word in key.split('_'))}"] = value
    return {
        "SkuId": sku,
        "SkuMeter": METER[kind],
        "SkuPriceId": f"{sku}{own}{tier}",
        "SkuPriceDetails": json.dumps(facts) if facts else None,
        "ChargeDescription": f"{cell['model']}: {METER[kind].lower()}",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingQuantity": priced_in,
        "PricingUnit": unit if piece else "1000000 Tokens",
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "ContractedUnitPrice": contracted,
        "ListUnitPrice": listed,
        "ListCost": cell["cost"] if listed == contracted else (listed * priced_in).quantize(_PICO),
        "x_ConsumedTokens": None if piece else int(quantity),
    }


_PICO = Decimal("0.000000000001")


def _fixed(project: str, project_name: str, day: date) -> dict[str, Any]:
    month = datetime(day.year, day.month, 1, tzinfo=UTC)
    return {
        "BillingAccountId": project,
        "BillingAccountName": project_name,
        "SubAccountId": project,
        "SubAccountName": project_name,
        "BillingCurrency": "USD",
        "BillingPeriodStart": month,
        "BillingPeriodEnd": (month + timedelta(days=32)).replace(day=1),
        "ChargePeriodStart": start_of(day),
        "ChargePeriodEnd": end_of(day),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
    }
