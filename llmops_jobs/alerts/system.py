"""Incidents of the job itself: a run that failed, a night that did not happen.

These follow the clock and not the day, so they bypass the evaluation: a condition holds or it does
not, and its incident opens and resolves with it, in the same tables and through the same outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from llmops_jobs.alerts import record
from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.incidents import Event, Incident
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.store import Database
from llmops_jobs.store.tables.alerts import heartbeat


def condition(
    database: Database,
    settings: AlertSettings,
    project: str,
    finding: Finding,
    *,
    now: datetime,
) -> str:
    """Opens or resolves the incident of a condition; returns `open`, `resolve` or ''.

    Said again, it changes nothing. `project` is '' for what concerns all of them.
    """
    if not settings.enabled or not settings.built_in or finding.rule in settings.disable:
        return ""
    day = now.date()
    with record.exclusive(database, f"{project}/{finding.rule}", now, day) as connection:
        before = record.latest(connection, project).get(finding.fingerprint)
        live = before is not None and before.live
        if finding.firing == live:
            return ""
        if before is not None and live:
            after = replace(before, state="resolved", last_day=day, fired=0, cleared=1)
            event = Event(after, "resolve", day, why=finding.summary)
        else:
            episode = 1 if before is None else before.episode + 1
            own = frozenset({finding.fingerprint})
            after = Incident(
                *(finding, episode, "open", day, day, 1, 0, day),
                members=own,
                rules=frozenset({finding.rule}),
            )
            event = Event(after, "open", day)
        record.write(database, connection, project, [after], [event], settings, now=now, extra={})
    return event.kind


def run_ended(
    database: Database,
    settings: AlertSettings,
    job: str,
    *,
    run_id: str,
    failed: bool,
    error: str,
    now: datetime,
) -> str:
    """A run of a job ended: its first failure opens an incident, its next success resolves it.

    error: the failed step's name and kind of error; no text from elsewhere.
    """
    finding = Finding(
        rule="failed-run",
        labels={"job": job},
        firing=failed,
        severity="critical",
        summary=f"The job {job} failed: {error or 'see the run'} (run {run_id[:8]})"
        if failed
        else f"run {run_id[:8]} succeeded",
        topic="system",
        detail={"run_id": run_id},
    )
    return condition(database, settings, "", finding, now=now)


_UNWATCHED = timedelta(hours=2)


def watch_missed(
    database: Database, settings: AlertSettings, projects: list[str], *, now: datetime
) -> dict[str, str]:
    """Project -> `open` or `resolve`, where the watch has not looked for two hours, or looks again.

    A project at which it never looked, and a watch that is switched off, miss nothing.
    """

    def found(age: timedelta, _last: str) -> Finding:
        late = age > _UNWATCHED and settings.watch.enabled
        return Finding(
            rule="heartbeat",
            labels={"part": "watch"},
            firing=late,
            severity="warning",
            summary=f"Today's rows were not looked at for {_hours(age):.0f} hours: "
            "see the last ticks of the sensor watch_today"
            if late
            else "today's rows are looked at again",
            topic="system",
            value=_hours(age),
            threshold=_hours(_UNWATCHED),
        )

    names = {f"watch:{project}": project for project in projects}
    return _missed(database, settings, names, found, now=now)


def nights_missed(
    database: Database, settings: AlertSettings, projects: list[str], *, now: datetime
) -> dict[str, str]:
    """Project -> `open` or `resolve`, where its heartbeat went missing or came back.

    The heartbeat is the evaluation of a project's rules, the last thing that a night does. A
    project that was never evaluated has just been set up, and misses nothing.
    """

    def found(age: timedelta, last: str) -> Finding:
        late = age > timedelta(hours=settings.heartbeat_hours)
        return Finding(
            rule="heartbeat",
            labels={},
            firing=late,
            severity="critical",
            summary=f"No night was evaluated for {_hours(age):.0f} hours "
            f"(the last covered {last}): what you do not hear is not good news"
            if late
            else "the nights are evaluated again",
            topic="system",
            value=_hours(age),
            threshold=float(settings.heartbeat_hours),
        )

    names = {f"alerts:{project}": project for project in projects}
    return _missed(database, settings, names, found, now=now)


def _missed(
    database: Database,
    settings: AlertSettings,
    names: Mapping[str, str],
    found: Callable[[timedelta, str], Finding],
    *,
    now: datetime,
) -> dict[str, str]:
    """Project -> what changed, of the heartbeats `names` (to project), each judged by `found` from
    its age and its detail."""
    stored = {name[:64]: project for name, project in names.items()}
    query = sa.select(heartbeat).where(heartbeat.c.name.in_(stored))
    with database.engine.connect() as connection:
        beats = connection.execute(query).mappings().all()
    changed = {}
    for beat in beats:
        project = stored[beat["name"]]
        finding = found(now - beat["beat_at"], beat["detail"])
        if kind := condition(database, settings, project, finding, now=now):
            changed[project] = kind
    return changed


def _hours(age: timedelta) -> float:
    return age.total_seconds() / 3600
