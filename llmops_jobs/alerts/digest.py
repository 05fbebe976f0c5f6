"""The day's report as a message, once per day and project, where a channel asks for it.

Only channels with `digest: true` get it. A report that is made again, and one of a day long past,
tell nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.store import Database


def wanted(settings: AlertSettings, day: date, now: datetime) -> list[str]:
    """The channels that are to get the digest of a day: none of a day before yesterday."""
    if not settings.enabled or now.date() - day > timedelta(days=1):
        return []
    return [channel.name for channel in settings.channels if channel.digest]


def queue_digest(
    database: Database,
    settings: AlertSettings,
    project: str,
    day: date,
    subject: str,
    lines: Sequence[str],
    *,
    faces: Mapping[str, Any],
    address: str,
    now: datetime,
) -> int:
    """Queues the digest of a day. Returns messages queued.

    lines: what the report says, a sentence each, for channels without a face of their own; faces:
    `slack` (blocks), `text` and `html`; address: the report's page, linked where it is on the web.
    """
    key = outbox.scoped(project, f"digest:{day}")
    body = {
        "kind": "digest",
        "dedup_key": key,
        "project_id": project,
        "rule": "digest",
        "labels": {},
        "severity": "info",
        "summary": subject,
        "also": list(lines),
        "faces": dict(faces),
        "report": address,
        "owner": "",
        "runbook": "",
        "first_day": day.isoformat(),
        "day": day.isoformat(),
    }
    with database.engine.begin() as connection:
        return outbox.queue_plain(
            *(database, connection, settings, key, body),
            now=now,
            channels=wanted(settings, day, now),
        )
