"""The daily aggregates of money, as definitions that any engine of the lake runs.

Decimals are summed as decimals, so every order and every split of the rows gives the same cents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.lake.cells import numbered
from llmops_jobs.ledger.units import COMPONENTS

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    import pyarrow as pa

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine

SPENDER_KINDS = {
    "user": "user_id",
    "tenant": "tenant",
    "session": "session_id",
    "trace": "trace_id",
}
# Kept per day in the database; any range is computed exactly from the lake by `top_spenders`.
MOST_SPENDERS = 1000


def usage_daily(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], book_hash: str
) -> pd.DataFrame:
    """One project's days of `usage_daily`."""
    rows = engine.run(usage_by_dimension, lake, project, days).to_pandas()
    keys = ["day", *DIMENSIONS, "price_status"]
    return rows.assign(price_book_hash=book_hash).sort_values(keys)


def cost_issues(engine: Engine, lake: Lake, project: str, days: Sequence[date]) -> pd.DataFrame:
    """One project's days of `cost_issue_daily`."""
    return engine.run(issues_by_model, lake, project, days).to_pandas()


def attempts(engine: Engine, lake: Lake, project: str, days: Sequence[date]) -> pd.DataFrame:
    """One project's days of `attempt_daily`; without the days whose attempts are not grouped."""
    return engine.run(attempts_by_cell, lake, project, days).to_pandas()


def daily_spenders(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], limit: int
) -> pd.DataFrame:
    """One project's days of `top_spender`."""
    if len(days) == 1:  # the largest of one day need no ranking of all the others
        largest = top_spenders(engine, lake, project, days, limit)
        largest.insert(0, "day", days[0])
        return largest
    return _with_share(engine.run(spend_by_subject_and_day, lake, project, days), limit)


def top_spenders(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], limit: int
) -> pd.DataFrame:
    """The `limit` largest users, tenants, sessions and traces over days, exactly.

    Product spend only; `share` is of the product spend of those days. Ties are ranked by id.
    """
    return _with_share(engine.run(spend_by_subject, lake, project, days), limit)


def _with_share(spenders: pa.Table, limit: int) -> pd.DataFrame:
    rows = spenders.to_pandas()
    rows = rows[rows["rank"] <= limit]
    share = [
        float(cost / total) if total else 0.0
        for cost, total in zip(rows["cost_usd"], rows["total_usd"], strict=True)
    ]
    keys = [name for name in ("day", "kind", "rank") if name in rows]
    return rows.assign(share=share).drop(columns="total_usd").sort_values(keys)


def usage_by_dimension(tables: Mapping[str, ir.Table]) -> ir.Table:
    o = tables["observations"]
    failed = o.level == "ERROR"
    columns = (*_KEY, *_SUMMED_TOKENS, *_OTHER_TOKENS, "reported_cost_usd")
    numbers, cells = numbered(
        o, calls_only=True, failed=failed, **{name: o[name] for name in columns}
    )
    calls = numbers.join(_costs(tables), _KEY)
    sums = calls.group_by(["cell", "price_status"]).aggregate(
        requests=calls.count(),
        errors=calls.failed.sum(),
        traces=calls.trace_id.nunique(),
        **{name: _tokens(calls[name]) for name in _SUMMED_TOKENS},
        audio_tokens=_tokens(calls.input_audio_tokens) + _tokens(calls.output_audio_tokens),
        image_tokens=_tokens(calls.input_image_tokens),
        issues=(calls.issue != "").sum(),
        cost_usd=_money(calls.cost_usd),
        reported_cost_usd=_money(calls.reported_cost_usd),
        **{name: _money(calls[name]) for name in COMPONENTS},
    )
    return sums.join(cells, "cell").drop("cell")


def issues_by_model(tables: Mapping[str, ir.Table]) -> ir.Table:
    calls = priced_calls(tables)
    doubtful = calls.filter(calls.issue != "")
    return doubtful.group_by(["day", "issue", "provider", "model", "price_status"]).aggregate(
        requests=doubtful.count(),
        input_tokens=_tokens(doubtful.input_tokens),
        output_tokens=_tokens(doubtful.output_tokens),
        cost_usd=_money(doubtful.cost_usd),
    )


def spend_by_subject(tables: Mapping[str, ir.Table]) -> ir.Table:
    return _spenders(tables, [])


def spend_by_subject_and_day(tables: Mapping[str, ir.Table]) -> ir.Table:
    return _spenders(tables, ["day"])


def _spenders(tables: Mapping[str, ir.Table], keys: list[str]) -> ir.Table:
    """The largest of each kind, over all days or for each, with the spend that they are part of."""
    import ibis

    calls = priced_calls(tables)
    calls = calls.filter(~calls.is_evaluation).select(*keys, *SPENDER_KINDS.values(), "cost_usd")
    totals = calls.aggregate(by=keys, total_usd=_money(calls.cost_usd))
    kinds = []
    for kind, column in SPENDER_KINDS.items():
        named = calls.filter(calls[column] != "")
        sums = named.group_by([*keys, named[column].name("subject")]).aggregate(
            requests=named.count(), cost_usd=_money(named.cost_usd)
        )
        if not keys:
            sums = sums.order_by(_largest(sums)).limit(MOST_SPENDERS)
        place = ibis.row_number().over(group_by=keys or None, order_by=_largest(sums)) + 1
        ranked = sums.mutate(kind=ibis.literal(kind), rank=place.cast("int32"))
        kinds.append(ranked.filter(ranked["rank"] <= MOST_SPENDERS))
    named = ibis.union(*kinds)
    return named.join(totals, keys) if keys else named.cross_join(totals)


def _largest(sums: ir.Table) -> list[Any]:
    import ibis

    return [ibis.desc(sums.cost_usd), ibis.asc(sums.subject)]


def attempts_by_cell(tables: Mapping[str, ir.Table]) -> ir.Table:
    calls, outcomes = tables["observations"], tables["outcomes"]
    product = calls.filter(calls.is_model_call & ~calls.is_evaluation)
    joined = product.join(outcomes.select(*_KEY, "is_final"), _KEY)
    return joined.group_by(["day", "feature", "tenant", "provider", "model"]).aggregate(
        attempts=joined.count(), logical_calls=joined.is_final.sum()
    )


def priced_calls(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Every model call with its cost."""
    calls = tables["observations"]
    return calls.filter(calls.is_model_call).join(_costs(tables), _KEY)


def _costs(tables: Mapping[str, ir.Table]) -> ir.Table:
    return tables["costs"].select(*_KEY, "cost_usd", *_OF_COST)


_KEY = ("day", "trace_id", "observation_id")
_SUMMED_TOKENS = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "reasoning_tokens"),
)
_OTHER_TOKENS = ("input_audio_tokens", "output_audio_tokens", "input_image_tokens")
_OF_COST = ("price_status", "price_id", "issue", *COMPONENTS)


def _tokens(column: Any) -> Any:
    """A sum over calls of which some reported no count; 0 when none did."""
    return column.sum().fill_null(0)


def _money(column: Any) -> Any:
    return column.sum().fill_null(Decimal(0))
