"""Questions to the price book: what does a model cost, and which models have no price?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from llmops_jobs.ledger.book import NOON, Context, PriceBook
from llmops_jobs.ledger.units import PIECE_TYPES, from_femto

if TYPE_CHECKING:
    from llmops_jobs.store import Database


def prices_of(
    book: PriceBook, model: str, provider: str, day: date, context: Context = ()
) -> list[dict[str, Any]]:
    """One entry per context-length tier and, where night prices differ, hours of the day:
    `price_id, price_status, above_input_tokens`, and USD `per_million_tokens` and `per_piece` as
    exact decimal texts. Empty when there is no price."""
    seconds = (NOON, *book.boundaries(provider, model))
    tiers = [
        tier
        for second in seconds
        for tier in book.tiers(provider, model, day, context=context, second=second)
    ]
    return [
        {
            "price_id": tier.price_id,
            "price_status": tier.status,
            "above_input_tokens": tier.above,
            "per_million_tokens": {
                kind: f"{from_femto(femto):f}"
                for kind, femto in tier.per_unit.items()
                if kind not in PIECE_TYPES
            },
            "per_piece": {
                kind: f"{from_femto(femto, 1):f}"
                for kind, femto in tier.per_unit.items()
                if kind in PIECE_TYPES
            },
        }
        for tier in {tier.price_id: tier for tier in tiers}.values()
    ]


def unpriced(database: Database, first: date, last: date) -> pd.DataFrame:
    """Models without a price of ours: `provider, model, price_status, requests, input_tokens,
    output_tokens, cost_usd`, the most called first. `reported` ones are counted at the source's
    cost, `unpriced` ones at nothing."""
    rows = database.table("cost_issue_daily", None, first, last, issue="missing_price")
    keys = ["provider", "model", "price_status"]
    sums = ["requests", "input_tokens", "output_tokens", "cost_usd"]
    found = rows.groupby(keys, as_index=False)[sums].sum()
    return found.sort_values(["requests", "model"], ascending=[False, True])


def stub(models: pd.DataFrame) -> Iterator[str]:
    """Lines for the price file, to be filled in: one entry for every model of `unpriced`."""
    yield "prices:"
    for (provider, model), rows in models.groupby(["provider", "model"], sort=False):
        match = {"model": _pattern(model)} | ({"provider": _pattern(provider)} if provider else {})
        written = yaml.safe_dump(match, default_flow_style=True, width=1000, sort_keys=False)
        tokens = f"{rows['input_tokens'].sum():,} tokens in, {rows['output_tokens'].sum():,} out"
        yield f"  # {rows['requests'].sum():,} calls, {tokens}"
        yield f"  - match: {written.strip()}"
        yield "    per_million_tokens: {input: 0, output: 0}"


def _pattern(name: str) -> str:
    """The name as a regular expression that still reads as a name."""
    return "".join(f"\\{letter}" if letter in r".^$*+?{}[]\|()" else letter for letter in name)
