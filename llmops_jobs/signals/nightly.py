"""The nightly steps of this stage: measure a batch of days, replace each day, say what came out.

Each function replaces its tables for one project's days and yields, per day, numbers that the
Dagster UI plots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmops_jobs.signals import bias, errors, feedback, latency, unit_cost
from llmops_jobs.signals import outcomes as outcome_rows

if TYPE_CHECKING:
    from llmops_jobs.deployment import Deployment

Told = Iterator[tuple[date, Mapping[str, Any]]]


def write_outcomes(home: Deployment, project: str, days: Sequence[date]) -> Told:
    settings = home.settings.signals
    for day, rows in outcome_rows.compute(home.engine, home.lake, project, days, settings):
        home.lake.replace_day("outcomes", project, day, rows)
        reason = rows["waste_reason"].to_numpy(zero_copy_only=False)
        yield (
            day,
            {
                "dagster/row_count": rows.num_rows,
                "errors": int((rows["error_type"].to_numpy(zero_copy_only=False) != "").sum()),
                "retries": int((rows["attempt"].to_numpy() > 1).sum()),
                "wasted_calls": int((reason != "").sum()),
            },
        )


def write_latency(home: Deployment, project: str, days: Sequence[date]) -> Told:
    error = home.settings.signals.histogram_error
    measured = latency.measure(home.engine, home.lake, project, days, error)
    for day, rows, buckets, traces in _by_day(
        days, measured.daily, measured.buckets, measured.traces
    ):
        home.database.replace_day("latency_daily", project, day, rows)
        home.database.replace_day("latency_histogram", project, day, buckets)
        home.database.replace_day("trace_daily", project, day, traces)
        yield day, {"dagster/row_count": len(rows), "buckets": len(buckets), **_headline(buckets)}


def write_errors(home: Deployment, project: str, days: Sequence[date]) -> Told:
    measured = errors.measure(home.engine, home.lake, project, days)
    for day, rows, waste, hourly in _by_day(days, measured.daily, measured.waste, measured.hourly):
        home.database.replace_day("error_daily", project, day, rows)
        home.database.replace_day("waste_daily", project, day, waste)
        home.database.replace_day("rate_limit_hourly", project, day, hourly)
    errors.update_families(home.database, project, measured.families)
    for day, rows, waste in _by_day(days, measured.daily, measured.waste):
        requests, logical = int(rows["requests"].sum()), int(rows["logical_calls"].sum())
        yield (
            day,
            {
                "dagster/row_count": len(rows),
                "errors": int(rows["errors"].sum()),
                "error_rate": _share(rows["errors"].sum(), requests),
                "amplification": _share(rows["attempts"].sum(), logical),
                "wasted_usd": float(waste["wasted_usd"].astype(float).sum()),
                "new_families": len(errors.new_families(home.database, project, day)),
            },
        )


def write_feedback(home: Deployment, project: str, days: Sequence[date]) -> Told:
    settings = home.settings.signals.feedback
    before = feedback.rated_days(home.database, project, days)
    given = feedback.measure(home.engine, home.lake, project, days, settings)
    for day, labels in _by_day(days, given.labels):
        home.database.replace_day("feedback_label_daily", project, day, labels)
        window = {"project_id": project, "given_day": day}
        home.database.replace(
            "feedback_given", window, given.votes[given.votes["given_day"] == day]
        )
        home.database.replace(
            "feedback_moment",
            {**window, "traces": "rated"},
            given.rated[given.rated["given_day"] == day],
        )
        every = given.every[given.every["day"] == day]
        home.database.replace("feedback_moment", {**window, "traces": "all"}, every)
    after = feedback.rated_days(home.database, project, days)
    for rated in sorted({*days, *before, *after}):
        rows = feedback.daily(home.database, project, rated, settings)
        home.database.replace_day("feedback_daily", project, rated, rows)
        moments = home.database.table("feedback_moment", project, rated, rated)
        home.database.replace_day("feedback_bias", project, rated, bias.compare(moments))
    for day in days:
        mine = given.votes[given.votes["given_day"] == day]
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
    for day, mine in _by_day(every, rows):
        home.database.replace_day("unit_cost_daily", project, day, mine)
        total = mine[mine["scope"] == "total"].set_index("unit")["usd_per_unit"]
        if day in days:
            yield (
                day,
                {
                    "dagster/row_count": len(mine),
                    **{f"usd_per_{unit}": float(value) for unit, value in total.items()},
                },
            )


def _by_day(days: Sequence[date], *frames: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """(day, its rows of each frame)."""
    parts = [dict(list(frame.groupby("day"))) for frame in frames]
    for day in days:
        yield (
            day,
            *(part.get(day, frame.iloc[:0]) for part, frame in zip(parts, frames, strict=True)),
        )


def _headline(buckets: pd.DataFrame) -> dict[str, float]:
    """The day's p50 and p95 of model calls, for the UI."""
    from llmops_jobs.signals import histogram

    calls = buckets[(buckets["level"] == "observation") & (buckets["metric"] == "latency")]
    if calls.empty:
        return {}
    found = histogram.quantiles(calls, (0.5, 0.95)).iloc[0]
    return {"latency_p50_s": float(found["p50"]), "latency_p95_s": float(found["p95"])}


def _share(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else float(np.nan)
