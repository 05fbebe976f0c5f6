"""Late and changed data: which days that were pulled already are no longer as the source has them.

Nothing in the API says what arrived since yesterday. Three signs are read, each cheap:

- rows that *ended* since the last sweep but started before the nightly window (long agents, slow
  exporters), found by a filter on the end time;
- days whose row count by the Metrics API is not what it was at the last comparison (backdated
  imports, deletions), one request for all days;
- days of scores whose content differs (feedback and edits come days later), by reading them.

A day that is found is marked in the table `pull`; the sensor `stale_days` requests runs over
exactly the marked days.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from llmops_jobs import days
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse import score_rows
from llmops_jobs.langfuse.api import OBSERVATION_KIND
from llmops_jobs.langfuse.gather import Gathered
from llmops_jobs.langfuse.landing import content_of
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.reach import out_of_reach
from llmops_jobs.langfuse.reconcile import count_days
from llmops_jobs.langfuse.sources import open_api, open_source
from llmops_jobs.langfuse.wire import instant
from llmops_jobs.store import Database
from llmops_jobs.store.tables import ingest

log = logging.getLogger(__name__)

# A span is delivered some minutes after its end: the sweep begins before the last one's end.
_OVERLAP = timedelta(hours=1)


@dataclass
class Swept:
    """What a sweep found: rows it saw, and stale days with the reason of each."""

    rows: int = 0
    stale: dict[date, str] = field(default_factory=dict)


def sweep(
    deployment: Deployment, project: ProjectKeys, before: date, *, now: datetime | None = None
) -> Swept:
    """Looks for late and changed observations on held days of the last `late_days` days before
    `before`, and marks their days stale. Days that were never pulled are not looked at."""
    at = now or datetime.now(UTC)
    settings = deployment.settings.ingest
    first = at.date() - timedelta(days=settings.late_days)
    pulls = deployment.database.table(
        "pull", project.id, first, before - timedelta(days=1), source="observations"
    )
    pulls = pulls[[not out_of_reach(settings, project, day, at.date()) for day in pulls["day"]]]
    swept = Swept()
    if pulls.empty or not project.secret_key:
        return swept
    _ended_since(deployment, project, pulls, before, swept)
    _counted_anew(deployment, project, pulls, swept)
    mark_stale(deployment.database, project.id, "observations", swept.stale)
    row = {"project_id": project.id, "swept_at": at, "rows": swept.rows, "stale": len(swept.stale)}
    deployment.database.upsert("sweep", pd.DataFrame([row]))
    for day, reason in sorted(swept.stale.items()):
        log.info("%s: %s is stale: %s", project.name, day, reason)
    return swept


def sweep_scores(deployment: Deployment, project: ProjectKeys, before: date) -> Swept:
    """Reads the scores of held days of the last `score_lookback_days` before `before` again, and
    marks the days whose content differs from what was landed."""
    settings = deployment.settings.ingest
    first = before - timedelta(days=max(settings.score_lookback_days - settings.lookback_days, 0))
    pulls = deployment.database.table(
        "pull", project.id, first, before - timedelta(days=1), source="scores"
    )
    swept = Swept()
    if pulls.empty:
        return swept
    with closing(open_source(deployment, project)) as source:
        for day, digest in zip(pulls["day"], pulls["content_hash"], strict=True):
            if out_of_reach(settings, project, day, days.today()):
                continue
            with closing(Gathered("score_id")) as gathered:
                for batch in source.scores(day):
                    gathered.add(score_rows.score_rows(batch.rows, day, project.id)[0])
                rows, found = content_of(gathered, score_rows.finish)
            swept.rows += rows
            if found != digest:
                swept.stale[day] = "scores came or changed"
    mark_stale(deployment.database, project.id, "scores", swept.stale)
    return swept


def mark_stale(database: Database, project: str, source: str, found: Iterable[date]) -> None:
    """Marks days; their next pull unmarks them."""
    wanted = sorted(found)
    if not wanted:
        return
    with database.engine.begin() as connection:
        connection.execute(
            sa.update(ingest.pull)
            .where(
                ingest.pull.c.project_id == project,
                ingest.pull.c.source == source,
                ingest.pull.c.day.in_(wanted),
            )
            .values(stale=True)
        )


def stale_days(database: Database, project: str | None = None) -> list[date]:
    """Days marked stale, in order; of one project or of all."""
    query = sa.select(ingest.pull.c.day).where(ingest.pull.c.stale).distinct()
    if project is not None:
        query = query.where(ingest.pull.c.project_id == project)
    return sorted(database.read(query)["day"])


@dataclass(frozen=True)
class StaleRun:
    """Neighbouring days to be pulled again. `scores_only`: their observations are as they were."""

    first: date
    last: date
    scores_only: bool
    pulled_at: datetime  # the newest pull that the days are stale since

    @property
    def key(self) -> str:
        kind = "scores" if self.scores_only else "stale"
        return f"{kind}:{self.first}:{self.last}:{self.pulled_at.isoformat()}"


def stale_runs(database: Database) -> list[StaleRun]:
    """The runs that make every stale day good, of whatever project, and touch no other day."""
    marked = database.read(
        sa.select(ingest.pull.c.day, ingest.pull.c.source, ingest.pull.c.pulled_at).where(
            ingest.pull.c.stale
        )
    )
    whole = set(marked.loc[marked["source"] == "observations", "day"])
    found = []
    for scores_only, wanted in ((False, whole), (True, set(marked["day"]) - whole)):
        for first, last in ranges(wanted):
            pulled = marked.loc[marked["day"].between(first, last), "pulled_at"].max()
            found.append(StaleRun(first, last, scores_only, pulled))
    return sorted(found, key=lambda run: run.first)


def ranges(found: Iterable[date]) -> list[tuple[date, date]]:
    """Neighbouring days joined: (first, last) of each run of days, both included."""
    joined: list[tuple[date, date]] = []
    for day in sorted(found):
        if joined and day - joined[-1][1] == timedelta(days=1):
            joined[-1] = (joined[-1][0], day)
        else:
            joined.append((day, day))
    return joined


def _ended_since(
    deployment: Deployment, project: ProjectKeys, pulls: pd.DataFrame, before: date, swept: Swept
) -> None:
    last = deployment.database.table("sweep", project.id)
    since = (last["swept_at"].iloc[0] if len(last) else pulls["pulled_at"].min()) - _OVERLAP
    ended: list[dict[str, Any]] = [
        {"type": "datetime", "column": "endTime", "operator": ">=", "value": instant(since)}
    ]
    found: list[pa.Table] = []
    with closing(open_api(deployment, project)) as api:
        window = (days.start_of(min(pulls["day"])), days.start_of(before))
        extra = (("filter", json.dumps(ended)),)
        for batch in api.window(OBSERVATION_KIND, *window, extra):
            found.append(
                batch.rows.select(["trace_id", "observation_id", "start_time", "updated_at"])
            )
    if not found:
        return
    rows = pa.concat_tables(found)
    swept.rows = rows.num_rows
    held_days = set(pulls["day"])
    by_day = rows.append_column(
        "day", rows["start_time"].cast(pa.timestamp("us")).cast(pa.date32())
    )
    for day in pc.unique(by_day["day"]).to_pylist():
        if day not in held_days:
            continue
        late = by_day.filter(pc.equal(by_day["day"], pa.scalar(day))).drop_columns(["day"])
        missing = _not_held(deployment, project, day, late)
        if missing:
            swept.stale[day] = f"{missing} observations came or changed after the pull"


def _not_held(deployment: Deployment, project: ProjectKeys, day: date, rows: pa.Table) -> int:
    keys = ["trace_id", "observation_id"]
    held = deployment.lake.read_day("observations", project.id, day, [*keys, "updated_at"])
    held = held.rename_columns([*keys, "held_at"])
    both = rows.join(held, keys=keys, join_type="left outer")
    newer = pc.greater(both["updated_at"], both["held_at"])
    return int(pc.sum(pc.or_kleene(pc.is_null(both["held_at"]), newer)).as_py() or 0)


def _counted_anew(
    deployment: Deployment, project: ProjectKeys, pulls: pd.DataFrame, swept: Swept
) -> None:
    """Days whose count in the source is not what it was when they were last compared."""
    from llmops_jobs.langfuse.sources import open_client

    if not deployment.settings.ingest.reconcile:
        return
    first, last = min(pulls["day"]), max(pulls["day"])
    compared = deployment.database.table("reconciliation", project.id, first, last)
    known = {
        day: int(rows)
        for day, rows in zip(compared["day"], compared["rows_source"], strict=True)
        if rows is not None and not pd.isna(rows)
    }
    if not known:
        return
    try:
        with open_client(deployment, project) as client:
            counted = count_days(client, first, last)
    except SourceError as error:
        log.warning("%s: days could not be counted: %s", project.name, error)
        return
    for day in pulls["day"]:
        if day in known and counted[day].rows != known[day]:
            swept.stale.setdefault(
                day, f"the source counts {counted[day].rows} rows, it was {known[day]}"
            )
