"""What is wrong with the pipeline itself, in sentences, from the figures that `metrics` gives."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from llmops_jobs.metrics import Gauge, of_lake, of_marts

if TYPE_CHECKING:
    import dagster as dg

    from llmops_jobs.deployment import Deployment
    from llmops_jobs.store import Database

#: A night that takes this many times the usual one is worth a look.
_SLOW: Final = 2.0
_NIGHTS: Final = 7
_FEWEST: Final = 3
_SUMMED: Final = ("rows", "pages", "bytes", "seconds", "duplicates", "late_rows", "quarantined")


@dataclass(frozen=True)
class Limit:
    """What a figure must not pass, and what it means when it does."""

    part: str
    figure: str
    most: float
    says: Callable[[Mapping[str, str], float], str]


#: The parts are the checks of the asset `health`; `docs/operate.md` lists the same limits.
LIMITS: Final = (
    Limit(
        "copy",
        "llmops_newest_day_age_seconds",
        0,
        lambda of, age: (
            f"{of['project']}: {of['source']} end {age / 86_400:.0f} days before yesterday's end"
        ),
    ),
    Limit(
        "copy",
        "llmops_stale_days",
        0,
        lambda of, n: f"{of['project']}: {n:.0f} days of {of['source']} are known to be stale",
    ),
    Limit(
        "copy",
        "llmops_unexplained_rows",
        0,
        lambda of, n: f"{of['project']}: copy and source differ by {n:.0f} rows without a cause",
    ),
    Limit(
        "messages",
        "llmops_messages",
        0,
        lambda of, n: f"{n:.0f} messages were given up (llmops alerts list --dead)",
    ),
    Limit(
        "parts",
        "llmops_heartbeat_age_seconds",
        30 * 3600,
        lambda of, age: f"{of['part']} was last alive {age / 3600:.0f} hours ago",
    ),
    Limit(
        "disk",
        "llmops_lake_disk_used_ratio",
        0.9,
        lambda of, used: f"the lake's file system is {used:.0%} full",
    ),
)
PARTS: Final = tuple(dict.fromkeys(limit.part for limit in LIMITS))


def problems(gauges: Iterable[Gauge]) -> dict[str, list[str]]:
    """Part -> what is wrong with it, in sentences; every part is there."""
    figures = {gauge.name: gauge for gauge in gauges}
    found: dict[str, list[str]] = {part: [] for part in PARTS}
    for limit in LIMITS:
        if limit.figure not in figures:
            continue
        for labels, value in sorted(figures[limit.figure].values.items()):
            of = dict(labels)
            if value > limit.most and of.get("state", "dead") == "dead":
                found[limit.part].append(limit.says(of, value))
    return found


def standing(deployment: Deployment, now: datetime) -> dict[str, list[str]]:
    """`problems` of a deployment as it is."""
    return problems([*of_marts(deployment.database, now), *of_lake(deployment.lake)])


def beat(database: Database, found: Mapping[str, Sequence[str]], now: datetime) -> None:
    """The row of `heartbeat` that says which parts were not well when they were last looked at."""
    ill = [part for part, wrong in found.items() if wrong]
    row = {"name": "health", "beat_at": now, "detail": f"not well: {', '.join(ill)}" if ill else ""}
    database.upsert("heartbeat", pd.DataFrame([row]))


def by_day(database: Database, days: Sequence[date]) -> dict[date, dict[str, float]]:
    """What the pulls of each day came to, over projects and sources."""
    pulls = database.table("pull", first=min(days), last=max(days))
    sums = pulls.groupby("day")[list(_SUMMED)].sum() if len(pulls) else pd.DataFrame()
    return {
        day: {f"pulled {name.replace('_', ' ')}": float(sums.loc[day, name]) for name in _SUMMED}
        for day in days
        if day in sums.index
    }


def slowness(instance: dg.DagsterInstance, run_id: str, now: datetime) -> str:
    """How much longer than the usual night a run has taken so far; '' when it has not.

    The usual one is the median of the last nights that succeeded over as many days.
    """
    import dagster as dg

    from llmops_jobs.schedules import END_TAG, START_TAG

    def days(tags: Mapping[str, Any]) -> timedelta | None:
        if START_TAG not in tags or END_TAG not in tags:
            return None
        return date.fromisoformat(tags[END_TAG]) - date.fromisoformat(tags[START_TAG])

    this = instance.get_run_record_by_id(run_id)
    if this is None or this.start_time is None:
        return ""
    records = instance.get_run_records(
        dg.RunsFilter(job_name=this.dagster_run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS]),
        limit=5 * _NIGHTS,
    )
    taken = [
        record.end_time - record.start_time
        for record in records
        if record.start_time
        and record.end_time
        and days(record.dagster_run.tags) == days(this.dagster_run.tags)
    ][:_NIGHTS]
    so_far = now.timestamp() - this.start_time
    if len(taken) < _FEWEST or so_far <= _SLOW * statistics.median(taken):
        return ""
    return f"{so_far:.0f} s so far; the usual is {statistics.median(taken):.0f} s"
