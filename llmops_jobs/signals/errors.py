"""How reliable: errors by class and family, retries, waste, and rate limits by the hour.

In `error_daily` every model call and every logical call is counted exactly once, so that sums over
any slice are right: a model call under its own class and family ('' when it succeeded), a logical
call, with its attempts, under the dimensions of its first attempt and the class and family of its
first error ('' when it had none). Hence, over any slice:

- error rate = errors / requests
- amplification = attempts / logical_calls
- recovered by retry = recovered / logical_calls, over rows with an error class
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import pandas as pd
import sqlalchemy as sa

from llmops_jobs.signals import intervals
from llmops_jobs.signals.cells import CELL, model_calls, stacked, unstacked
from llmops_jobs.signals.families import family
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables
    from llmops_jobs.store import Database

_KEY: Final = ["day", "trace_id", "observation_id"]
_FAMILY: Final = ("error_type", "family_id")
_COUNTS: Final = ("requests", "errors", "logical_calls", "attempts", "recovered")
_HOURLY: Final = ("day", "provider", "hour", "requests", "errors", "rate_limited")
_READ: Final = (
    *("day", "trace_id", "observation_id", "start_time", "status_message", "finish_reason"),
    *("error_type", "family_id", "logical_call_id", "attempt", "attempts", "is_final"),
    *("waste_reason", "wasted_usd"),
)
_FAMILIES: Final = ("day", "family_id", "example_trace_id", "status_message", "finish_reason")


@dataclass(frozen=True)
class Errors:
    """Rows of error_daily, waste_daily and rate_limit_hourly, and the families that were seen
    (`day`, `family_id`, `error_type`, `template`, `example_trace_id`)."""

    daily: pd.DataFrame
    waste: pd.DataFrame
    hourly: pd.DataFrame
    families: pd.DataFrame


def measure(engine: Engine, lake: Lake, project: str, days: Sequence[date]) -> Errors:
    found = engine.run(_measured, lake, project, days)
    hourly = unstacked(found, "hourly", *_HOURLY).to_pandas()
    low, high = intervals.wilson(hourly["rate_limited"], hourly["requests"])
    return Errors(
        daily=unstacked(found, "daily", *CELL, *_FAMILY, *_COUNTS, "wasted_usd").to_pandas(),
        waste=unstacked(
            found, "waste", *CELL, "waste_reason", "requests", "wasted_usd"
        ).to_pandas(),
        hourly=hourly.assign(
            share=hourly["rate_limited"] / hourly["requests"], share_low=low, share_high=high
        ),
        families=_templates(unstacked(found, "families", *_FAMILIES).to_pandas()),
    )


def update_families(database: Database, project: str, seen: pd.DataFrame) -> None:
    """Brings `error_family` up to date after `error_daily` and `tool_daily` were: first and last
    day of every family are read off these, so that re-runs and backfills in any order end the
    same."""
    families = TABLES["error_family"]
    days = _days_of_families(project)
    query = sa.select(
        days.c.family_id,
        sa.func.min(days.c.day).label("first_seen"),
        sa.func.max(days.c.day).label("last_seen"),
    ).group_by(days.c.family_id)
    spans = database.read(query)
    known = database.table("error_family", project).drop(columns=["project_id", "last_seen"])
    known = known.rename(columns={"first_seen": "day"})
    # What was just computed replaces what was known for the same day; of the rest the first.
    every = pd.concat([seen, known], ignore_index=True).drop_duplicates(["family_id", "day"])
    every = every.sort_values("day").drop_duplicates("family_id")
    rows = spans.merge(every.drop(columns="day"), on="family_id", how="inner")
    database.upsert("error_family", rows.assign(project_id=project))
    # In SQL, not from `spans`: another run may have added days since.
    kept = sa.select(_days_of_families(project).c.family_id)
    gone = sa.delete(families).where(
        families.c.project_id == project, families.c.family_id.not_in(kept)
    )
    with database.engine.begin() as connection:
        connection.execute(gone)


def _days_of_families(project: str) -> sa.Subquery:
    marts = [TABLES["error_daily"].c, TABLES["tool_daily"].c]
    return sa.union(
        *(
            sa.select(c.day, c.family_id).where(c.project_id == project, c.family_id != "")
            for c in marts
        )
    ).subquery()


def new_families(database: Database, project: str, days: Sequence[date]) -> pd.DataFrame:
    """Families first seen on one of the `days`, as `day`: an event, unless it is the first day
    that has any calls."""
    daily, family = TABLES["error_daily"], TABLES["error_family"]
    query = sa.select(sa.func.min(daily.c.day)).where(daily.c.project_id == project)
    began = database.read(query).iloc[0, 0]
    return database.read(
        sa.select(family, family.c.first_seen.label("day")).where(
            family.c.project_id == project,
            family.c.first_seen.in_(days),
            family.c.first_seen != began,
        )
    )


def _measured(t: Tables) -> ir.Table:
    calls = (
        model_calls(t)
        .inner_join(t["outcomes"].drop("project_id"), _KEY)
        .select(*_READ, *(name for name in CELL if name not in _READ))
    )  # once: what is taken of a join itself is a join of its own
    return stacked(
        daily=_daily(calls), waste=_waste(calls), hourly=_hourly(calls), families=_families(calls)
    )


def _daily(calls: ir.Table) -> ir.Table:
    import ibis

    alone = calls.attempts == 1
    each = calls.select(
        *CELL,
        *_FAMILY,
        requests=ibis.literal(1, "int64"),
        errors=(calls.error_type != "").cast("int64"),
        logical_calls=alone.cast("int64"),
        attempts=alone.cast("int64"),
        recovered=ibis.literal(0, "int64"),
        wasted_usd=calls.wasted_usd,
    )
    rows = each.union(_retried(calls))
    return rows.group_by([*CELL, *_FAMILY]).agg(
        **{name: rows[name].sum().cast("int64") for name in _COUNTS},
        wasted_usd=rows.wasted_usd.sum(),
    )


def _retried(calls: ir.Table) -> ir.Table:
    """One row per logical call of several attempts."""
    import ibis

    several = calls.filter(calls.attempts > 1)
    failed = several.error_type != ""
    grouped = several.group_by(["day", "trace_id", "logical_call_id"]).agg(
        cell=ibis.struct({n: several[n] for n in CELL if n != "day"}).argmin(several.attempt),
        error=ibis.struct({n: several[n] for n in _FAMILY}).argmin(several.attempt, where=failed),
        attempts=several.count(),
        recovered=(failed.any() & (several.is_final & ~failed).any()).cast("int64"),
    )
    return grouped.select(
        "day",
        **{name: grouped.cell[name] for name in CELL if name != "day"},
        **{name: grouped.error[name].fill_null("") for name in _FAMILY},
        requests=ibis.literal(0, "int64"),
        errors=ibis.literal(0, "int64"),
        logical_calls=ibis.literal(1, "int64"),
        attempts=grouped.attempts,
        recovered=grouped.recovered,
        wasted_usd=ibis.literal(None, calls.wasted_usd.type()),
    )


def _waste(calls: ir.Table) -> ir.Table:
    calls = calls.filter(calls.waste_reason != "")
    return calls.group_by([*CELL, "waste_reason"]).agg(
        requests=calls.count(), wasted_usd=calls.wasted_usd.sum()
    )


def _hourly(calls: ir.Table) -> ir.Table:
    return calls.group_by("day", "provider", hour=calls.start_time.hour()).agg(
        requests=calls.count(),
        errors=(calls.error_type != "").sum(),
        rate_limited=(calls.error_type == "rate_limit").sum(),
    )


def _families(calls: ir.Table) -> ir.Table:
    """One message of each family and day."""
    import ibis

    failed = calls.filter(calls.family_id != "")
    order = ibis.struct({"start": failed.start_time, "id": failed.observation_id})
    grouped = failed.group_by(["day", "family_id"]).agg(
        example=ibis.struct(
            {n: failed[n] for n in ("trace_id", "status_message", "finish_reason")}
        ).argmin(order)
    )
    return grouped.select(
        "day",
        "family_id",
        example_trace_id=grouped.example["trace_id"],
        status_message=grouped.example["status_message"],
        finish_reason=grouped.example["finish_reason"],
    )


def _templates(rows: pd.DataFrame) -> pd.DataFrame:
    found = [
        family(message, reason)
        for message, reason in zip(rows["status_message"], rows["finish_reason"], strict=True)
    ]
    return rows.drop(columns=["status_message", "finish_reason"]).assign(
        error_type=[each.error_type for each in found], template=[each.template for each in found]
    )
