"""Incidents as the command line gives them: plain values, stable names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from llmops_jobs.alerts.act import LIVE, find, messages_of
from llmops_jobs.store import Database
from llmops_jobs.store.tables.alerts import incident as table
from llmops_jobs.store.tables.alerts import notification as notifications

_RANK = {"critical": 0, "warning": 1, "info": 2}


def incidents(
    database: Database, *, project: str | None = None, everything: bool = False
) -> list[dict[str, Any]]:
    """Open ones first, the gravest first, the newest first."""
    query = sa.select(table)
    if project is not None:
        query = query.where(table.c.project_id == project)
    if not everything:
        query = query.where(table.c.state.in_(LIVE))
    with database.engine.connect() as connection:
        rows = [_plain(dict(row)) for row in connection.execute(query).mappings()]
    rows.sort(key=lambda row: str(row["first_day"]), reverse=True)
    return sorted(rows, key=lambda r: (r["state"] == "resolved", _RANK.get(r["severity"], 3)))


def one(database: Database, identity: str) -> dict[str, Any]:
    """One incident with its evidence and messages. Raises UserError for an unknown one."""
    row = find(database, identity)
    detail = json.loads(row["detail"] or "{}")
    return {
        **_plain(row),
        **{name: detail.get(name, []) for name in ("also", "contributions", "traces")},
        "runbook": row["runbook"],
        "value": row["value"],
        "threshold": row["threshold"],
        "messages": [
            {name: _iso(value) for name, value in message.items()}
            for message in messages_of(database, row)
        ],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["fingerprint"],
        "episode": row["episode"],
        "project": row["project_id"],
        "state": row["state"],
        "severity": row["severity"],
        "rule": row["rule"],
        "labels": json.loads(row["labels"]),
        "summary": row["summary"],
        "owner": row["owner"],
        **{name: _iso(row[name]) for name in ("first_day", "last_day", "opened_at", "resolved_at")},
        "acknowledged_by": row["acknowledged_by"],
    }


def _iso(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def dead_messages(database: Database) -> list[dict[str, Any]]:
    c = notifications.c
    query = (
        sa.select(c.event_key, c.channel, c.kind, c.project_id, c.attempts, c.last_error)
        .where(c.status == "dead")
        .order_by(c.created_at)
    )
    with database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def test_message(channel: str, now: datetime) -> tuple[str, dict[str, Any]]:
    """(key, message) that says nothing is wrong."""
    key = f"test:{channel}:{now:%Y%m%dT%H%M%S}"
    return key, {
        "kind": "test",
        "dedup_key": key,
        "project_id": "",
        "rule": "test",
        "labels": {},
        "severity": "info",
        "summary": f"Messages of llmops reach the channel {channel}",
        "owner": "",
        "runbook": "",
        "first_day": now.date().isoformat(),
        "day": now.date().isoformat(),
    }
