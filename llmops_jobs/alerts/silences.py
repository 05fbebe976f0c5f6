"""Silences: who is not told of what, until when."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

import sqlalchemy as sa

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.errors import UserError
from llmops_jobs.store import Database
from llmops_jobs.store.tables.alerts import silence as silences


@dataclass(frozen=True)
class Silence:
    silence_id: str
    matcher: Mapping[str, str]
    reason: str
    created_by: str
    starts_at: datetime
    ends_at: datetime

    def covers(self, rule: str, severity: str, labels: Mapping[str, str]) -> bool:
        """Every name of the matcher (`rule`, `severity` or a label) has a value that it matches;
        `*` and `?` stand for any text and any character."""
        names = {"rule": rule, "severity": severity, **labels}
        return all(
            name in names and fnmatchcase(names[name], wanted)
            for name, wanted in self.matcher.items()
        )


def active(database: Database, now: datetime) -> list[Silence]:
    query = sa.select(silences).where(silences.c.starts_at <= now, silences.c.ends_at > now)
    with database.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [Silence(**{**row, "matcher": json.loads(row["matcher"])}) for row in rows]


def hides(found: Sequence[Silence], finding: Finding) -> bool:
    return any(s.covers(finding.rule, finding.severity, finding.labels) for s in found)


def add(
    database: Database,
    matcher: Mapping[str, str],
    *,
    until: datetime,
    now: datetime,
    reason: str,
    by: str,
) -> Silence:
    """Raises UserError for a silence of everything or one that is over before it begins."""
    if not matcher:
        raise UserError("a silence needs at least one NAME=VALUE: rule=…, severity=… or a label")
    if until <= now:
        raise UserError(f"the silence would end at {until:%Y-%m-%d %H:%M} UTC, which is over")
    made = Silence(uuid.uuid4().hex[:12], dict(matcher), reason, by, now, until)
    with database.engine.begin() as connection:
        connection.execute(
            sa.insert(silences), [{**made.__dict__, "matcher": json.dumps(dict(matcher))}]
        )
    return made


def end(database: Database, silence_id: str, now: datetime) -> bool:
    """Ends a silence now; False when there is none of that id that still holds."""
    with database.engine.begin() as connection:
        done = connection.execute(
            sa.update(silences)
            .where(silences.c.silence_id == silence_id, silences.c.ends_at > now)
            .values(ends_at=now)
        )
    return bool(done.rowcount)
