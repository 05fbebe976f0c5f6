"""The outbox: messages queued with the change they tell of, leased, and marked.

Delivery leases a row, sends, and marks it; a worker that dies lets its lease run out. The receiver
may then see a message twice, with the same key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from llmops_jobs.alerts.hours import next_open
from llmops_jobs.alerts.incidents import Event
from llmops_jobs.alerts.settings import AlertSettings, Channel
from llmops_jobs.store import Database
from llmops_jobs.store.tables.alerts import notification as notifications

LEASE = timedelta(minutes=2)


def queue(
    database: Database,
    connection: sa.Connection,
    project: str,
    events: Sequence[Event],
    settings: AlertSettings,
    *,
    now: datetime,
    extra: Mapping[str, Mapping[str, Any]],
) -> int:
    """Queues one message per event and channel; what is queued already stays. Returns how many."""
    queued = 0
    for event in events:
        body = {**extra.get(event.incident.dedup_key, {}), **_body(project, event)}
        finding = event.incident.finding
        for channel in _channels(settings, event):
            wait = None if finding.severity == "critical" else channel.hours
            key = scoped(project, event.key)
            row = _message(key, channel, project, body, now, next_open(wait, now))
            row |= {"fingerprint": finding.fingerprint, "episode": event.incident.episode}
            done = connection.execute(database.insert_if_absent(notifications), [row])
            queued += max(done.rowcount, 0)
    return queued


def scoped(project: str, key: str) -> str:
    """The key of an incident or event among all projects: receivers know nothing of projects."""
    if len(project) > 40:
        project = hashlib.sha256(project.encode()).hexdigest()[:16]
    return f"{project}:{key}" if project else key


def _body(project: str, event: Event) -> dict[str, Any]:
    incident, finding = event.incident, event.incident.finding
    return {
        "project_id": project,
        "kind": event.kind,
        "why": event.why,
        "dedup_key": scoped(project, incident.dedup_key),
        "fingerprint": finding.fingerprint,
        "episode": incident.episode,
        "rule": finding.rule,
        "labels": dict(finding.labels),
        "severity": finding.severity,
        "summary": finding.summary,
        "value": finding.value,
        "threshold": finding.threshold,
        "n": finding.n,
        "detail": {k: v for k, v in finding.detail.items() if k not in ("traces", "also")},
        "owner": finding.owner,
        "runbook": finding.runbook,
        "first_day": incident.first_day.isoformat(),
        "day": event.day.isoformat(),
    }


def _message(
    key: str,
    channel: Channel,
    project: str,
    body: Mapping[str, Any],
    now: datetime,
    due: datetime,
) -> dict[str, Any]:
    return {
        "event_key": key,
        "channel": channel.name,
        "project_id": project,
        "fingerprint": "",
        "episode": 0,
        "kind": body["kind"],
        "payload": json.dumps(body, sort_keys=True, default=str),
        "status": "pending",
        "attempts": 0,
        "last_error": "",
        "created_at": now,
        "due_at": due,
    }


def queue_plain(
    database: Database,
    connection: sa.Connection,
    settings: AlertSettings,
    key: str,
    body: Mapping[str, Any],
    *,
    now: datetime,
    channels: Collection[str],
) -> int:
    """Queues a message that no night decided (an acknowledgement, a digest) for the named channels.
    The same key is queued once."""
    queued = 0
    for channel in settings.channels:
        if channel.name in channels:
            due = next_open(channel.hours, now) if body["kind"] == "digest" else now
            row = _message(key, channel, str(body.get("project_id", "")), body, now, due)
            row |= {k: body[k] for k in ("fingerprint", "episode") if k in body}
            done = connection.execute(database.insert_if_absent(notifications), [row])
            queued += max(done.rowcount, 0)
    return queued


def lease(
    database: Database, now: datetime, *, resting: Collection[str] = ()
) -> dict[str, Any] | None:
    """Takes one due message, or None. Safe with several workers: the update decides.

    Messages of one incident go through a channel in the order in which they were queued: an end
    never overtakes a beginning that has to be tried again.
    """
    earlier = notifications.alias("earlier")
    waits = sa.exists().where(
        earlier.c.fingerprint == notifications.c.fingerprint,
        earlier.c.episode == notifications.c.episode,
        earlier.c.project_id == notifications.c.project_id,
        earlier.c.channel == notifications.c.channel,
        earlier.c.status.in_(("pending", "leased")),
        earlier.c.event_key != notifications.c.event_key,
        sa.or_(
            earlier.c.created_at < notifications.c.created_at,
            sa.and_(earlier.c.kind == "open", notifications.c.kind != "open"),
        ),
    )
    due = (
        sa.select(notifications.c.event_key, notifications.c.channel)
        .where(
            _due(now),
            notifications.c.channel.not_in(resting),
            sa.or_(notifications.c.fingerprint == "", ~waits),
        )
        .order_by(notifications.c.due_at, notifications.c.event_key)
        .limit(1)
    )
    if database.engine.dialect.name == "postgresql":
        due = due.with_for_update(of=notifications, skip_locked=True)
    while True:
        with database.engine.begin() as connection:
            row = connection.execute(due).first()
            if row is None:
                return None
            taken = connection.execute(
                sa.update(notifications)
                .where(
                    notifications.c.event_key == row.event_key,
                    notifications.c.channel == row.channel,
                    _due(now),
                )
                .values(
                    status="leased",
                    leased_until=now + LEASE,
                    attempts=notifications.c.attempts + 1,
                )
                .returning(*notifications.c)
            ).first()
            if taken is not None:
                return dict(taken._mapping)
        # Another worker was faster; there may be more.


def mark(
    database: Database, message: Mapping[str, Any], *, status: str, now: datetime, **values: Any
) -> None:
    """Ends a lease: sent, dead, silenced, or pending again with a later `due_at`.

    A message whose lease ran out and that another worker has sent meanwhile stays sent.
    """
    with database.engine.begin() as connection:
        connection.execute(
            sa.update(notifications)
            .where(
                notifications.c.event_key == message["event_key"],
                notifications.c.channel == message["channel"],
                notifications.c.status == "leased",
                notifications.c.attempts == message["attempts"],
            )
            .values(
                status=status,
                leased_until=None,
                **({"sent_at": now} if status == "sent" else {}),
                **values,
            )
        )


def revive(database: Database, now: datetime) -> int:
    """Gives dead messages another round of tries, after the channel was corrected."""
    with database.engine.begin() as connection:
        done = connection.execute(
            sa.update(notifications)
            .where(notifications.c.status == "dead")
            .values(status="pending", attempts=0, due_at=now)
        )
    return int(done.rowcount)


def pending(database: Database, now: datetime) -> int:
    """How many messages could be delivered now."""
    query = sa.select(sa.func.count()).select_from(notifications).where(_due(now))
    with database.engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def counts(database: Database, now: datetime) -> tuple[int, int, int]:
    """Messages that are due now, that wait for a later try, and that were given up."""
    query = sa.select(
        sa.func.count().filter(_due(now)),
        sa.func.count().filter(notifications.c.status.in_(("pending", "leased"))),
        sa.func.count().filter(notifications.c.status == "dead"),
    ).select_from(notifications)
    with database.engine.connect() as connection:
        due, waiting, dead = connection.execute(query).one()
    return int(due), int(waiting) - int(due), int(dead)


def _due(now: datetime) -> sa.ColumnElement[bool]:
    """Also what a clock that was set back would hold for longer than any lease or wait lasts."""
    c = notifications.c
    far = now + LEASE * 2
    return sa.or_(
        sa.and_(c.status == "pending", c.due_at <= now),
        sa.and_(c.status == "leased", sa.or_(c.leased_until <= now, c.leased_until > far)),
    )


def _channels(settings: AlertSettings, event: Event) -> list[Channel]:
    finding = event.incident.finding
    wanted = finding.channels
    if event.kind == "refresh":  # only for those who forget what is not repeated
        settings = settings.model_copy(
            update={"channels": [c for c in settings.channels if c.kind == "alertmanager"]}
        )
    escalation = settings.escalation
    extra = escalation.channels if escalation and event.incident.escalated_day else ()
    return [
        channel
        for channel in settings.channels
        if channel.name in extra
        or (finding.severity in channel.severities and (wanted is None or channel.name in wanted))
    ]
