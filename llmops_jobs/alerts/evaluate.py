"""One night: rules to findings, findings to incidents, incidents to queued messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.incidents import advance
from llmops_jobs.alerts.rules import findings
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.store import Database


@dataclass(frozen=True)
class Evaluation:
    """Counts of one evaluated day."""

    looked: int
    firing: int
    changed: int
    queued: int


def evaluate_day(
    database: Database,
    settings: AlertSettings,
    project: str,
    day: date,
    *,
    now: datetime,
    base_url: str = "",
) -> Evaluation:
    """Advances the project's incidents by one day and queues what people should be told.

    A day that is older than `page_within_days` is recorded but tells nobody: it is a backfill.
    """
    found = findings(database, settings, project, day)
    changed, events = advance(
        outbox.latest(database, project), found, day, reminder_days=settings.reminder_days
    )
    if (now.date() - day).days > settings.page_within_days:
        events = []
    queued = outbox.record(
        database,
        project,
        changed,
        events,
        settings,
        now=now,
        payload={"project_id": project, "base_url": base_url},
    )
    return Evaluation(len(found), sum(f.firing for f in found), len(changed), queued)
