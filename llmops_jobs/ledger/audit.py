"""Our cost of every call beside the source's, and the cause of each difference.

A cause is found by pricing the differing calls again under a mistake that is known to be made
(yesterday's price, no cache discount, ...) and seeing whether the source's amount comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.lake.schema import USD
from llmops_jobs.ledger.book import PriceBook
from llmops_jobs.ledger.mistakes import Bools, Floats, floats, mistakes, true
from llmops_jobs.ledger.pricing import COLUMNS, model_calls, with_costs

#: Columns of `observations` that the audit reads.
READ: Final = ("day", *COLUMNS, "cost_details")

#: Columns of `costs` that it reads.
READ_COSTS: Final = (
    *("day", "trace_id", "observation_id", "cost_usd", "price_status", "issue"),
    *("input_usd", "cache_read_usd", "cache_write_usd", "other_usd"),
)

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
    "fixed_share": "the source's amounts are one multiple of ours: a gateway's fee, a discount",
    "incomplete_tokens": "the reported counts do not add up",
    "other_price": "the source charges another price; compare its model definition with the book",
    "not_a_model_call": "cost on a row that is not a model call (a roll-up would count twice)",
}


def audit(
    book: PriceBook, parts: Iterable[tuple[pa.Table, pa.Table]], tolerance: float
) -> pd.DataFrame:
    """One row per day, model and cause: `requests, cost_usd, reported_cost_usd, difference_usd`.

    `parts` are observations, each with the costs among which those of its calls are: of any days,
    a day in as many as one likes. Memory is that of one part. The differences of a day sum to our
    spend minus the source's.
    """
    tables = [_part(book, observations, costs, tolerance) for observations, costs in parts]
    if not tables:
        return pd.DataFrame(columns=[*_KEYS, "requests", *_SUMS, "difference_usd"])
    found = pd.concat(tables, ignore_index=True)
    found.loc[_same_multiple(found), "cause"] = "fixed_share"
    sums = {"requests": "sum", **dict.fromkeys(_SUMS, _added)}
    rows = found.groupby(_KEYS, as_index=False).agg(sums)
    return rows.assign(difference_usd=rows["cost_usd"] - rows["reported_cost_usd"])


_KEYS: Final = ["day", "model", "cause"]
_SUMS: Final = ("cost_usd", "reported_cost_usd")


def _added(usd: pd.Series) -> Decimal:
    total: Decimal = sum(usd, Decimal(0))
    return total


def _part(
    book: PriceBook, observations: pa.Table, costs: pa.Table, tolerance: float
) -> pd.DataFrame:
    """Sums by day, model, cause and `ratio`: theirs to ours, where it may be one of many alike."""
    names = list(CAUSES)
    read = [name for name in READ_COSTS if name != "day" or name in costs.column_names]
    calls = with_costs(model_calls(observations.select(READ)), costs.select(read))
    cause = np.full(calls.num_rows, -1, dtype=np.int8)
    ratio = np.full(calls.num_rows, np.nan)
    for name, holds in _judged(book, calls, tolerance, ratio):
        cause[(cause < 0) & holds] = names.index(name)
    others = observations.select(["day", "model", "reported_cost_usd", "is_model_call"]).filter(
        ~pc.field("is_model_call") & (pc.field("reported_cost_usd") > _NOTHING)
    )
    labelled = pa.concat_tables(
        [
            calls.select(["day", "model", *_SUMS])
            .append_column(
                "cause", pa.DictionaryArray.from_arrays(pa.array(cause), names).cast(pa.string())
            )
            .append_column("ratio", pa.array(ratio, from_pandas=True)),
            pa.table(
                {
                    "day": others["day"],
                    "model": others["model"],
                    "cost_usd": pa.nulls(others.num_rows, USD),
                    "reported_cost_usd": others["reported_cost_usd"],
                    "cause": pa.repeat(pa.scalar("not_a_model_call"), others.num_rows),
                    "ratio": pa.nulls(others.num_rows, pa.float64()),
                }
            ),
        ]
    )
    sums = labelled.group_by([*_KEYS, "ratio"]).aggregate(
        [("model", "count"), *((name, "sum") for name in _SUMS)]
    )
    sums = sums.rename_columns(
        {"model_count": "requests", **{f"{name}_sum": name for name in _SUMS}}
    )
    rows = sums.to_pandas()
    for name in _SUMS:
        rows[name] = [Decimal(0) if usd is None else usd for usd in rows[name]]
    return rows


_ALIKE = 10  # calls that must share a ratio before it is told as one
_NOTHING = pa.scalar(Decimal(0), USD)


def _judged(
    book: PriceBook, calls: pa.Table, tolerance: float, ratio: Floats
) -> Iterator[tuple[str, Bools | bool]]:
    """Every cause of a call by itself with the calls that it holds for, in the order of CAUSES.
    Fills in the `ratio` of what is left then: whether many share one, their day and model tell."""
    ours, theirs = floats(calls["cost_usd"]), floats(calls["reported_cost_usd"])
    known, told = ~np.isnan(ours), ~np.isnan(theirs)
    status = calls["price_status"]
    counted_theirs = true(pc.equal(status, "reported"))

    def near(amount: Floats) -> Bools:
        """The source's amount is this one."""
        with np.errstate(invalid="ignore"):
            off: Bools = np.abs(theirs - amount) <= np.maximum(tolerance * np.abs(amount), 1e-9)
        return off

    details = pc.fill_null(calls["cost_details"], "")
    yield "missing_price_here", counted_theirs
    yield "unpriced", ~known & ~told
    without_total = ~true(pc.match_substring(details, '"total"'))
    yield "missing_total", without_total & true(pc.match_substring(details, ":")) & told
    yield "agreed", known & told & near(ours)
    failed = true(pc.equal(calls["level"], "ERROR"))
    yield "agreed", ~told & failed & (ours == 0)
    yield "failed_calls", failed & (told != known) | failed & ((ours == 0) != (theirs == 0))
    yield "missing_price", ~told

    rows = np.flatnonzero(known & told & ~near(ours) & ~counted_theirs)
    for name, amount in mistakes(book, calls.take(pa.array(rows))):
        if not len(rows):
            break
        full = np.full(calls.num_rows, np.nan)
        full[rows] = amount(calls.take(pa.array(rows)))
        yield name, near(full)
        rows = rows[~near(full)[rows]]
    rows = rows[(ours[rows] > 0) & (theirs[rows] > 0)]
    ratio[rows] = np.round(theirs[rows] / ours[rows], 3)
    issue = calls["issue"]
    yield "overlapping_buckets", true(pc.equal(issue, "overlapping_tokens"))
    yield "incomplete_tokens", true(pc.equal(issue, "incomplete_tokens"))
    yield "other_price", True


def _same_multiple(rows: pd.DataFrame) -> Bools:
    """Rows whose ratio to ours is one that a fifth of the differing calls of their day and model
    share."""
    counts = rows["requests"].where(rows["ratio"].notna(), 0)
    alike = counts.groupby([rows["day"], rows["model"], rows["ratio"]]).transform("sum")
    all_of_model = counts.groupby([rows["day"], rows["model"]]).transform("sum")
    holds: Bools = ((alike >= _ALIKE) & (alike >= all_of_model / 5)).to_numpy()
    return holds
