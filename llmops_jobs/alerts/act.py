"""What people do to incidents: find them, take them on."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.errors import UserError
from llmops_jobs.store import Database
from llmops_jobs.store.tables.alerts import incident as incidents
from llmops_jobs.store.tables.alerts import notification as notifications

LIVE = ("open", "acknowledged", "silenced", "pending")


def find(database: Database, identity: str) -> dict[str, Any]:
    """The newest episode of the incident whose fingerprint begins so.

    Raises UserError when there is none or more than one.
    """
    query = (
        sa.select(incidents)
        .where(incidents.c.fingerprint.startswith(identity, autoescape=True))
        .order_by(incidents.c.episode.desc())
    )
    with database.engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    keys = {(row["project_id"], row["fingerprint"]) for row in rows}
    if not identity or not keys:
        raise UserError(f"there is no incident {identity}: see llmops alerts list --all")
    if len(keys) > 1:
        raise UserError(f"{identity} begins {len(keys)} incidents: write more of its id")
    return rows[0]


def messages_of(database: Database, incident: dict[str, Any]) -> list[dict[str, Any]]:
    """Its messages, oldest first."""
    c = notifications.c
    query = (
        sa.select(c.kind, c.channel, c.status, c.attempts, c.last_error, c.created_at, c.sent_at)
        .where(
            c.project_id == incident["project_id"],
            c.fingerprint == incident["fingerprint"],
            c.episode == incident["episode"],
        )
        .order_by(c.created_at, c.event_key, c.channel)
    )
    with database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def acknowledge(
    database: Database, settings: AlertSettings, identity: str, *, by: str, now: datetime
) -> dict[str, Any]:
    """Marks an open incident as taken on and tells the channels that were told of it.

    Raises UserError for one that is unknown or over.
    """
    found = find(database, identity)
    if found["state"] not in ("open", "silenced", "acknowledged"):
        raise UserError(f"incident {found['fingerprint']} is {found['state']}, not open")
    key = sa.and_(
        incidents.c.project_id == found["project_id"],
        incidents.c.fingerprint == found["fingerprint"],
        incidents.c.episode == found["episode"],
    )
    dedup_key = outbox.scoped(found["project_id"], f"{found['fingerprint']}:{found['episode']}")
    told = {row["channel"] for row in messages_of(database, found) if row["status"] != "dead"}
    body = {
        "kind": "acknowledge",
        "by": by,
        "project_id": found["project_id"],
        "dedup_key": dedup_key,
        "fingerprint": found["fingerprint"],
        "episode": found["episode"],
        "rule": found["rule"],
        "labels": json.loads(found["labels"]),
        "severity": found["severity"],
        "summary": found["summary"],
        "owner": found["owner"],
        "runbook": found["runbook"],
        "first_day": found["first_day"].isoformat(),
        "day": now.date().isoformat(),
    }
    with database.engine.begin() as connection:
        connection.execute(
            sa.update(incidents)
            .where(key, incidents.c.state != "resolved")
            .values(state="acknowledged", acknowledged_at=now, acknowledged_by=by)
        )
        outbox.queue_plain(
            database,
            connection,
            settings,
            f"{dedup_key}:acknowledge",
            body,
            now=now,
            channels=sorted(told),
        )
    return {**found, "state": "acknowledged", "acknowledged_by": by, "acknowledged_at": now}
