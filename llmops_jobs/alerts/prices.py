"""How dear the same tokens are: today's spend over what its tokens cost on the days before.

A mean price of all tokens moves with their mix (a longer prompt is cheap, a longer answer dear);
held against the earlier price of each kind of token, only the price moves (a Paasche index).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.series import equal

if TYPE_CHECKING:
    import pandas as pd

BASE_DAYS = 14
_KINDS = ("input", "cache_read", "cache_write", "output")


def price_index(
    marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
) -> pd.DataFrame:
    """1 where nothing changed. Kinds of tokens that the days before did not have, and what is
    billed by other things than tokens, are left out."""
    import pandas as pd

    from llmops_jobs.store.tables import TABLES

    c = TABLES["usage_daily"].c
    tokens = {
        "input": c.input_tokens - c.cache_read_tokens - c.cache_write_tokens,
        **{kind: c[f"{kind}_tokens"] for kind in _KINDS[1:]},
    }
    wanted = {f"{kind}_tokens": tokens[kind] for kind in _KINDS}
    wanted |= {f"{kind}_usd": c[f"{kind}_usd"] for kind in _KINDS}
    sums = marts.sums("usage_daily", {"n": c.requests, **wanted}, by, equal("usage_daily", where))
    sums[list(wanted)] = sums[list(wanted)].astype(float).fillna(0.0)
    keys = list(by)
    before = pd.concat(
        [
            sums.assign(day=sums["day"].map(lambda day, ahead=ahead: day + timedelta(days=ahead)))
            for ahead in range(1, BASE_DAYS + 1)
        ]
    )
    base = before.groupby(["day", *keys], as_index=False)[list(wanted)].sum()
    rows = sums.merge(base, on=["day", *keys], suffixes=("", "_before"))
    spent = pd.Series(0.0, index=rows.index)
    usual = pd.Series(0.0, index=rows.index)
    for kind in _KINDS:
        known = (rows[f"{kind}_tokens_before"] > 0) & (rows[f"{kind}_usd_before"] > 0)
        price = rows[f"{kind}_usd_before"] / rows[f"{kind}_tokens_before"]
        spent += rows[f"{kind}_usd"].where(known, 0.0)
        usual += (rows[f"{kind}_tokens"] * price).where(known, 0.0)
    rows = rows[usual > 0]
    value = (spent / usual)[usual > 0]
    return rows[["day", *keys, "n"]].assign(value=value, low=value, high=value)
