"""The price of a mix of tokens on days to come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from llmops_jobs.ledger.units import FEMTO
from llmops_jobs.ledger.usage import TOKEN_COLUMNS, quantities

if TYPE_CHECKING:
    from llmops_jobs.ledger.book import PriceBook

Floats = npt.NDArray[np.float64]


def blended(book: PriceBook, mix: pd.DataFrame, days: Sequence[date]) -> pd.DataFrame:
    """See `PriceBook.blended`."""
    counts = {
        name: pa.chunked_array([mix[name].fillna(0).to_numpy(dtype=np.int64)])
        for name in TOKEN_COLUMNS
        if name in mix
    }
    # A mix is a sum over many calls: more than one call can plausibly hold.
    units: dict[str, Floats] = {
        kind: used.astype(float)
        for kind, used in quantities(pa.table(counts), highest=2**62).by_type.items()
    }
    requests = mix["requests"].fillna(0).to_numpy() if "requests" in mix else np.ones(len(mix))
    units["request"] = np.asarray(requests, dtype=float)
    inputs = mix["input_tokens"].to_numpy(dtype=float)
    per_request = inputs / np.maximum(requests, 1) if "requests" in mix else np.zeros(len(mix))
    tokens = inputs + mix["output_tokens"].to_numpy(dtype=float)
    rows = []
    for at, (provider, model) in enumerate(zip(mix["provider"], mix["model"], strict=True)):
        for day in days:
            tiers = book.tiers(provider, model, day)
            held = [tier for tier in tiers if tier.above == 0 or per_request[at] > tier.above]
            cost = (
                sum(used[at] * held[-1].per_unit.get(kind, 0) for kind, used in units.items())
                / FEMTO
                if held
                else np.nan
            )
            blend = cost / tokens[at] * 1e6 if tokens[at] > 0 else np.nan
            rows.append((provider, model, day, cost, blend))
    return pd.DataFrame(
        rows, columns=["provider", "model", "day", "cost_usd", "usd_per_million_tokens"]
    )
