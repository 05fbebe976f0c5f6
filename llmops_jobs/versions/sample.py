"""The calls of a day that comparisons look at: all of them, or of a large day a sample of traces.

A window is four weeks in memory, so a day must not grow without end. Of a day of more calls than
the limit, traces are drawn by a hash of their id: the same ones on every run and engine. Traces of
which a call was scored are kept whole, since there are few and pass rates live on them. Every call
carries how many it stands for, the inverse of its chance to be kept (Horvitz and Thompson 1952):
a large day counts in the window for what it was, not for what was drawn of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    import ibis.expr.types as ir

NAMES: Final = ("prompt_name", "prompt_version", "request_model", "model", "feature", "tenant")
_ALL: Final = "g"  # behind every hexadecimal number
_HASHES: Final = 1 << 32


def calls_by_day(tables: Mapping[str, ir.Table]) -> ir.Table:
    """How many calls of the product a day has (an engine definition)."""
    calls = _of_product(tables["observations"])
    return calls.group_by("day").agg(calls=calls.count())


def product_calls(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Model calls of the product with what they cost and how many they stand for, in order.

    An engine definition; besides the lake's tables it reads those of `drawing`.
    """
    observations = _drawn(_of_product(tables["observations"]), tables)
    costs = _drawn(tables["costs"], tables).select("trace_id", "observation_id", "cost_usd")
    calls = observations.left_join(costs, ["trace_id", "observation_id"])
    return calls.select(
        "trace_id",
        "observation_id",
        "day",
        "start_time",
        *NAMES,
        "user_id",
        "session_id",
        "latency_s",
        "time_to_first_token_s",
        "input_tokens",
        "output_tokens",
        "stands_for",
        error=(calls.level == "ERROR").cast("float64"),
        cost_usd=calls.cost_usd.cast("float64"),
    ).order_by("day", "start_time", "observation_id")


def drawing(
    sizes: Mapping[date, int], limit: float, scored: Iterable[str] = ()
) -> dict[str, pa.Table]:
    """What `product_calls` draws by: of each day (of `sizes` calls) the hashes below which a trace
    is drawn and how many calls one then stands for; and the `scored` traces, kept whole."""
    below, stands_for = [], []
    for size in sizes.values():
        hashes = _HASHES if size <= limit else max(1, int(limit * _HASHES / size))
        below.append(_ALL if hashes == _HASHES else f"{hashes:08x}")
        stands_for.append(_HASHES / hashes)
    days = {
        "day": pa.array(list(sizes), pa.date32()),
        "below": pa.array(below, pa.string()),
        "drawn_for": pa.array(stands_for, pa.float64()),
    }
    traces = pa.array(sorted(set(scored)), pa.string())
    return {"drawn_days": pa.table(days), "scored_traces": pa.table({"scored_trace": traces})}


def undrawn(days: Iterable[date]) -> dict[str, pa.Table]:
    """Every call of the days."""
    return drawing(dict.fromkeys(days, 0), math.inf)


def _of_product(observations: ir.Table) -> ir.Table:
    return observations.filter(
        observations.is_model_call & ~observations.is_evaluation & (observations.model != "")
    )


def _drawn(rows: ir.Table, tables: Mapping[str, ir.Table]) -> ir.Table:
    """Rows of drawn and of scored traces, with `stands_for`."""
    import ibis

    days, scored = tables["drawn_days"], tables["scored_traces"]
    rows = rows.inner_join(days, "day")
    rows = rows.left_join(scored, rows.trace_id == scored.scored_trace)
    is_scored = rows.scored_trace.notnull()
    rows = rows.filter(is_scored | (rows.trace_id.hexdigest("md5") < rows.below))
    return rows.mutate(stands_for=ibis.ifelse(is_scored, 1.0, rows.drawn_for))
