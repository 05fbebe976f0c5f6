"""The nightly steps of this stage: measure a batch of days, replace each day, say what came out.

Each function replaces its tables for one project's days and yields, per day, numbers that the
Dagster UI plots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from llmops_jobs.days import by_day
from llmops_jobs.signals import bias, errors, feedback, latency, tools, unit_cost
from llmops_jobs.signals import outcomes as outcome_rows

if TYPE_CHECKING:
    from llmops_jobs.deployment import Deployment

Told = Iterator[tuple[date, Mapping[str, Any]]]


def write_outcomes(home: Deployment, project: str, days: Sequence[date]) -> Told:
    """A day that comes in parts is written as they come, and replaced at once."""
    settings = home.settings.signals
    for day, rows in outcome_rows.compute(home.engine, home.lake, project, days, settings):
        told: Counter[str] = Counter()

        def heard(part: pa.Table, told: Counter[str] = told) -> pa.Table:
            told.update(_told_of(part))
            return part

        parts = heard(rows) if isinstance(rows, pa.Table) else map(heard, rows)
        home.lake.replace_day("outcomes", project, day, parts)
        yield day, dict(told)


def _told_of(rows: pa.Table) -> dict[str, int]:
    return {
        "dagster/row_count": rows.num_rows,
        "errors": int((rows["error_type"].to_numpy(zero_copy_only=False) != "").sum()),
        "retries": int((rows["attempt"].to_numpy() > 1).sum()),
        "wasted_calls": int((rows["waste_reason"].to_numpy(zero_copy_only=False) != "").sum()),
    }


def write_latency(home: Deployment, project: str, days: Sequence[date]) -> Told:
    error = home.settings.signals.histogram_error
    measured = latency.measure(home.engine, home.lake, project, days, error)
    home.database.replace_days("latency_daily", project, days, measured.daily)
    home.database.replace_days("latency_sketch", project, days, measured.sketches)
    home.database.replace_days("latency_scope", project, days, measured.scopes)
    home.database.replace_days("trace_daily", project, days, measured.traces)
    for day, rows, scopes in by_day(days, measured.daily, measured.scopes):
        yield day, {"dagster/row_count": len(rows), **_headline(scopes)}


def write_errors(home: Deployment, project: str, days: Sequence[date]) -> Told:
    source = (home.engine, home.lake, project, days)
    measured = errors.measure(*source)
    tool_calls, tool_families = tools.measure(*source)
    home.database.replace_days("error_daily", project, days, measured.daily)
    home.database.replace_days("tool_daily", project, days, tool_calls)
    home.database.replace_days("waste_daily", project, days, measured.waste)
    home.database.replace_days("rate_limit_hourly", project, days, measured.hourly)
    families = pd.concat([measured.families, tool_families], ignore_index=True)
    errors.update_families(home.database, project, families)
    new = errors.new_families(home.database, project, days)
    parts = (measured.daily, measured.waste, tool_calls, new)
    for day, rows, waste, of_tools, first_seen in by_day(days, *parts):
        requests, logical = int(rows["requests"].sum()), int(rows["logical_calls"].sum())
        yield (
            day,
            {
                "dagster/row_count": len(rows),
                "errors": int(rows["errors"].sum()),
                "error_rate": _share(rows["errors"].sum(), requests),
                "amplification": _share(rows["attempts"].sum(), logical),
                "wasted_usd": float(waste["wasted_usd"].astype(float).sum()),
                "new_families": len(first_seen),
                "tool_errors": int(of_tools["errors"].sum()),
            },
        )


def write_feedback(home: Deployment, project: str, days: Sequence[date]) -> Told:
    settings = home.settings.signals.feedback
    before = feedback.rated_days(home.database, project, days)
    given = feedback.measure(home.engine, home.lake, project, days, settings)
    home.database.replace_days("feedback_label_daily", project, days, given.labels)
    window = {"project_id": project, "given_day": list(days)}
    home.database.replace("feedback_given", window, given.votes)
    home.database.replace("feedback_moment", {**window, "traces": "rated"}, given.rated)
    home.database.replace("feedback_moment", {**window, "traces": "all"}, given.every)
    after = feedback.rated_days(home.database, project, days)
    touched = sorted({*days, *before, *after})
    rows = feedback.daily(home.database, project, touched, settings)
    home.database.replace_days("feedback_daily", project, touched, rows)
    moments = home.database.table("feedback_moment", project, touched[0], touched[-1])
    compared = bias.compare(moments[moments["day"].isin(touched)])
    home.database.replace_days("feedback_bias", project, touched, compared)
    for day, mine in by_day(days, given.votes, key="given_day"):
        yield (
            day,
            {
                "dagster/row_count": len(mine),
                "votes": int(mine["n"].sum()),
                "positive": int(mine["positive"].sum()),
                "negative": int(mine["negative"].sum()),
                "unknown_traces": given.unmatched[day],
            },
        )


def write_unit_cost(home: Deployment, project: str, days: Sequence[date]) -> Told:
    """Also for the earlier days whose traces were rated on these days."""
    settings = home.settings.signals.feedback
    rated = feedback.rated_days(home.database, project, days)
    every = sorted({*days, *rated})
    rows = unit_cost.measure(home.engine, home.lake, home.database, project, every, settings)
    home.database.replace_days("unit_cost_daily", project, every, rows)
    for day, mine in by_day(days, rows):
        total = mine[mine["scope"] == "total"].set_index("unit")["usd_per_unit"]
        yield (
            day,
            {
                "dagster/row_count": len(mine),
                **{f"usd_per_{unit}": float(value) for unit, value in total.items()},
            },
        )


def _headline(scopes: pd.DataFrame) -> dict[str, float]:
    """The day's p50 and p95 of product calls, for the UI."""
    wanted = (scopes["scope"] == "total") & (scopes["level"] == "observation")
    calls = scopes[wanted & (scopes["metric"] == "latency")]
    return {f"latency_{name}_s": float(value) for name in ("p50", "p95") for value in calls[name]}


def _share(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else float(np.nan)
