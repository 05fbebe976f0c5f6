"""Incidents and their messages in the database, written together and delivered later.

A message is recorded in the same transaction as the change of state that it tells of: if one is
there, so is the other. Delivery leases a row, sends, and marks it; a worker that dies lets its
lease run out. The receiver may then see a message twice, with the same key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.incidents import Event, Incident
from llmops_jobs.alerts.settings import AlertSettings, Channel
from llmops_jobs.store import Database
from llmops_jobs.store.tables.alerts import incident as incidents
from llmops_jobs.store.tables.alerts import notification as notifications

LEASE = timedelta(minutes=2)


def latest(database: Database, project: str) -> dict[str, Incident]:
    """The latest episode of every fingerprint."""
    query = (
        sa.select(incidents)
        .where(incidents.c.project_id == project)
        .order_by(incidents.c.fingerprint, incidents.c.episode)
    )
    with database.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return {row["fingerprint"]: _incident(dict(row)) for row in rows}


def record(
    database: Database,
    project: str,
    changed: Sequence[Incident],
    events: Sequence[Event],
    settings: AlertSettings,
    *,
    now: datetime,
    payload: Mapping[str, Any],
) -> int:
    """Writes incidents and queues their messages, in one transaction. Returns messages queued.

    `payload` holds what every message of the night carries (links, project name).
    """
    messages = [
        _message(project, event, channel, now, payload)
        for event in events
        for channel in _channels(settings, event.incident.finding)
    ]
    with database.engine.begin() as connection:
        for item in changed:
            row = _row(connection, project, item, events, now)
            connection.execute(database.upsert_statement(incidents), [row])
        for message in messages:
            connection.execute(database.insert_if_absent(notifications), [message])
    return len(messages)


def lease(database: Database, now: datetime) -> dict[str, Any] | None:
    """Takes one due message, or None. Safe with several workers: the update decides."""
    due = (
        sa.select(notifications.c.event_key, notifications.c.channel)
        .where(
            sa.or_(
                sa.and_(notifications.c.status == "pending", notifications.c.due_at <= now),
                sa.and_(notifications.c.status == "leased", notifications.c.leased_until <= now),
            )
        )
        .order_by(notifications.c.due_at, notifications.c.event_key)
        .limit(1)
    )
    if database.engine.dialect.name == "postgresql":
        due = due.with_for_update(skip_locked=True)
    with database.engine.begin() as connection:
        row = connection.execute(due).first()
        if row is None:
            return None
        taken = connection.execute(
            sa.update(notifications)
            .where(
                notifications.c.event_key == row.event_key,
                notifications.c.channel == row.channel,
                sa.or_(
                    notifications.c.status == "pending",
                    notifications.c.leased_until <= now,
                ),
            )
            .values(
                status="leased",
                leased_until=now + LEASE,
                attempts=notifications.c.attempts + 1,
            )
            .returning(*notifications.c)
        ).first()
        return dict(taken._mapping) if taken is not None else None


def mark(
    database: Database, message: Mapping[str, Any], *, status: str, now: datetime, **values: Any
) -> None:
    """Ends a lease: sent, dead, or pending again with a later `due_at`."""
    with database.engine.begin() as connection:
        connection.execute(
            sa.update(notifications)
            .where(
                notifications.c.event_key == message["event_key"],
                notifications.c.channel == message["channel"],
            )
            .values(
                status=status,
                leased_until=None,
                **({"sent_at": now} if status == "sent" else {}),
                **values,
            )
        )


def pending(database: Database, now: datetime) -> int:
    """How many messages could be delivered now."""
    query = sa.select(sa.func.count()).where(
        sa.or_(
            sa.and_(notifications.c.status == "pending", notifications.c.due_at <= now),
            sa.and_(notifications.c.status == "leased", notifications.c.leased_until <= now),
        )
    )
    with database.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _channels(settings: AlertSettings, finding: Finding) -> list[Channel]:
    return [
        channel
        for channel in settings.channels
        if finding.severity in channel.severities
        and (finding.channels is None or channel.name in finding.channels)
    ]


def _message(
    project: str, event: Event, channel: Channel, now: datetime, payload: Mapping[str, Any]
) -> dict[str, Any]:
    finding = event.incident.finding
    body = {
        **payload,
        "kind": event.kind,
        "dedup_key": event.incident.dedup_key,
        "rule": finding.rule,
        "labels": dict(finding.labels),
        "severity": finding.severity,
        "summary": finding.summary,
        "value": finding.value,
        "threshold": finding.threshold,
        "n": finding.n,
        "detail": dict(finding.detail),
        "owner": finding.owner,
        "runbook": finding.runbook,
        "first_day": event.incident.first_day.isoformat(),
        "day": event.day.isoformat(),
    }
    return {
        "event_key": event.key,
        "channel": channel.name,
        "project_id": project,
        "fingerprint": finding.fingerprint,
        "episode": event.incident.episode,
        "kind": event.kind,
        "payload": json.dumps(body, sort_keys=True, default=str),
        "status": "pending",
        "attempts": 0,
        "last_error": "",
        "created_at": now,
        "due_at": now,
    }


def _row(
    connection: sa.Connection, project: str, item: Incident, events: Sequence[Event], now: datetime
) -> dict[str, Any]:
    finding = item.finding
    told = {event.kind for event in events if event.incident.dedup_key == item.dedup_key}
    kept = (
        connection.execute(
            sa.select(incidents).where(
                incidents.c.project_id == project,
                incidents.c.fingerprint == finding.fingerprint,
                incidents.c.episode == item.episode,
            )
        )
        .mappings()
        .first()
    )
    before: dict[str, Any] = dict(kept or {})
    return {
        **{column.name: before.get(column.name) for column in incidents.columns},
        "acknowledged_by": before.get("acknowledged_by") or "",
        "project_id": project,
        "fingerprint": finding.fingerprint,
        "episode": item.episode,
        "rule": finding.rule,
        "labels": json.dumps(dict(finding.labels), sort_keys=True),
        "state": item.state,
        "severity": finding.severity,
        "summary": finding.summary,
        "detail": json.dumps(
            {
                **finding.detail,
                "notified_day": item.notified_day.isoformat() if item.notified_day else None,
                "for_days": finding.for_days,
                "clear_days": finding.clear_days,
                "channels": finding.channels,
                "n": finding.n,
            },
            sort_keys=True,
            default=str,
        ),
        "value": finding.value,
        "threshold": finding.threshold,
        "owner": finding.owner,
        "runbook": finding.runbook,
        "first_day": item.first_day,
        "last_day": item.last_day,
        "fired": item.fired,
        "cleared": item.cleared,
        "opened_at": before.get("opened_at") or (now if item.state != "pending" else None),
        "resolved_at": now if item.state == "resolved" else None,
        "notified_at": now if told else before.get("notified_at"),
    }


def _incident(row: Mapping[str, Any]) -> Incident:
    detail = json.loads(row["detail"] or "{}")
    notified = detail.pop("notified_day", None)
    channels = detail.pop("channels", None)
    finding = Finding(
        rule=row["rule"],
        labels=json.loads(row["labels"]),
        firing=row["state"] != "resolved",
        severity=row["severity"],
        summary=row["summary"],
        value=row["value"],
        threshold=row["threshold"],
        n=detail.pop("n", 0),
        owner=row["owner"],
        runbook=row["runbook"],
        for_days=detail.pop("for_days", 1),
        clear_days=detail.pop("clear_days", 1),
        channels=tuple(channels) if channels is not None else None,
        detail=detail,
    )
    incident = Incident(
        finding=finding,
        episode=row["episode"],
        state=row["state"],
        first_day=row["first_day"],
        last_day=row["last_day"],
        fired=row["fired"],
        cleared=row["cleared"],
    )
    return replace(incident, notified_day=date.fromisoformat(notified) if notified else None)
