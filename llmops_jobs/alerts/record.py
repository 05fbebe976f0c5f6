"""Incidents in the database, changed and told of in one transaction.

A message is recorded in the same transaction as the change of state that it tells of: if one is
there, so is the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.incidents import Event, Incident
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.store import Database
from llmops_jobs.store.tables.alerts import heartbeat
from llmops_jobs.store.tables.alerts import incident as incidents

# What a finding keeps in the column `detail` beside its own: policy of the rule.
_POLICY = ("for_days", "clear_days", "cooldown_days", "channels", "n", "topic")


# What was found beside a finding and is kept with its incident.
_EVIDENCE = ("traces", "contributions", "also")


def evidence_in(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What of an incident's detail is its evidence."""
    return {name: detail[name] for name in _EVIDENCE if name in detail}


@contextmanager
def exclusive(
    database: Database, project: str, now: datetime, day: date, *, name: str = ""
) -> Iterator[sa.Connection]:
    """A transaction in which no other changes the project's incidents: its first acts are writes,
    which both databases let only one do at a time. The row is the heartbeat of the evaluation, or,
    with a name, of another part, which holds the evaluation's row without a beat."""
    beat = f"alerts:{project}"[:64]
    row = {"name": name[:64] or beat, "beat_at": now, "detail": day.isoformat()}
    with database.engine.begin() as connection:
        connection.execute(database.upsert_statement(heartbeat), [row])
        if name:
            same = {"detail": heartbeat.c.detail}
            connection.execute(sa.update(heartbeat).where(heartbeat.c.name == beat).values(same))
        yield connection


def latest(connection: sa.Connection, project: str) -> dict[str, Incident]:
    """The latest episode of every fingerprint."""
    query = (
        sa.select(incidents)
        .where(incidents.c.project_id == project)
        .order_by(incidents.c.fingerprint, incidents.c.episode)
    )
    rows = connection.execute(query).mappings().all()
    return {row["fingerprint"]: incident_of(dict(row)) for row in rows}


def begun(connection: sa.Connection, project: str) -> dict[str, date]:
    """First day of the live incident of which a finding is part, by its fingerprint."""
    return {
        member: incident.first_day
        for incident in latest(connection, project).values()
        if incident.live
        for member in incident.members
    }


def write(
    database: Database,
    connection: sa.Connection,
    project: str,
    changed: Sequence[Incident],
    events: Sequence[Event],
    settings: AlertSettings,
    *,
    now: datetime,
    extra: Mapping[str, Mapping[str, Any]],
) -> int:
    """Writes incidents and queues their messages. Returns messages queued.

    extra: evidence (links, contributions, …) by dedup key of the incident.
    """
    for item in changed:
        row = _row(connection, project, item, events, now, extra.get(item.dedup_key, {}))
        connection.execute(database.upsert_statement(incidents), [row])
    return outbox.queue(database, connection, project, events, settings, now=now, extra=extra)


def _row(
    connection: sa.Connection,
    project: str,
    item: Incident,
    events: Sequence[Event],
    now: datetime,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    finding = item.finding
    told = any(
        event.incident.dedup_key == item.dedup_key and event.kind != "refresh" for event in events
    )
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
    evidence = {k: v for k, v in extra.items() if v}
    old = json.loads(before.get("detail") or "{}")
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
                **evidence_in(old),
                **{k: v for k, v in finding.detail.items() if k != "trace_id"},
                **evidence,
                **{name: getattr(finding, name) for name in _POLICY},
                "notified_day": item.notified_day,
                "escalated_day": item.escalated_day,
                "quiet_until": item.quiet_until,
                "members": sorted(item.members),
                "rules": sorted(item.rules),
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


_OWN = {*_POLICY, "notified_day", "escalated_day", "quiet_until", "members", "rules"}


def incident_of(row: Mapping[str, Any]) -> Incident:
    detail = json.loads(row["detail"] or "{}")
    channels = detail.get("channels")
    finding = Finding(
        rule=row["rule"],
        labels=json.loads(row["labels"]),
        firing=row["state"] != "resolved",
        severity=row["severity"],
        summary=row["summary"],
        value=row["value"],
        threshold=row["threshold"],
        owner=row["owner"],
        runbook=row["runbook"],
        channels=tuple(channels) if channels is not None else None,
        detail={name: value for name, value in detail.items() if name not in _OWN},
        **{k: detail[k] for k in _POLICY if k in detail and k != "channels"},
    )
    incident = Incident(
        finding=finding,
        episode=row["episode"],
        state=row["state"],
        first_day=row["first_day"],
        last_day=row["last_day"],
        fired=row["fired"],
        cleared=row["cleared"],
        members=frozenset(detail.get("members", [finding.fingerprint])),
        rules=frozenset(detail.get("rules", [finding.rule])),
    )
    return replace(
        incident,
        notified_day=_day(detail.get("notified_day")),
        escalated_day=_day(detail.get("escalated_day")),
        quiet_until=_day(detail.get("quiet_until")),
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
