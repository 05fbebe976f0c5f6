"""The life of an incident before its first night: opened, raised and ended within hours. Pure.

An incident of the watch is dated to its day and counts as evaluated up to the day before, so that
the night of its day confirms it, ends it, or finds it ended. Incidents that a night has seen are
the nights': the watch adds nothing to them and never ends them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from llmops_jobs.alerts.causes import RANK, Cause
from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.incidents import Event, Incident, begun

Same = Callable[[Finding, Finding], bool]


def step(
    known: Mapping[str, Incident],
    found: Sequence[Cause],
    findings: Sequence[Finding],
    today: date,
    *,
    same: Same,
    hidden: Callable[[Finding], bool],
) -> tuple[list[Incident], list[Event]]:
    """The incidents that a look changes, and what to tell.

    findings: all that the rules said, also what does not fire: silence ends nothing.
    """
    live = [incident for incident in known.values() if incident.live]
    changed: list[Incident] = []
    events: list[Event] = []
    still: set[str] = set()
    for cause in found:
        home = _home(cause, live, same)
        if home is None:
            made = _opened(cause, known, today, hidden)
            changed.append(made)
            if made.notified_day is not None:
                events.append(Event(made, "open", today, cause.children))
        elif home.watched:
            still.add(home.finding.fingerprint)
            after = _grown(home, cause)
            if after != home:
                changed.append(after)
            if RANK[after.finding.severity] > RANK[home.finding.severity] and home.notified_day:
                events.append(Event(after, "escalate", today, cause.children))
    said = {finding.fingerprint: finding for finding in findings}
    for incident in live:
        if not incident.watched or incident.finding.fingerprint in still:
            continue
        root = said.get(incident.finding.fingerprint)
        if root is None or root.firing or root.holding:
            continue
        # Of the day on which it ended, if that is a later one, it has said nothing.
        day = incident.first_day
        after = replace(incident, state="resolved", last_day=day, fired=0, cleared=1)
        changed.append(after)
        if incident.notified_day is not None:
            events.append(Event(after, "resolve", day, why="back to usual"))
    return changed, events


def _home(cause: Cause, live: Sequence[Incident], same: Same) -> Incident | None:
    """The live incident that tells of this already."""
    prints = {finding.fingerprint for finding in cause.members}
    for incident in live:
        if prints & (incident.members | {incident.finding.fingerprint}):
            return incident
    for incident in live:
        # An older incident of another kind of trouble is not the cause of what began just now.
        alike = incident.watched or incident.finding.topic == cause.root.topic
        if alike and same(cause.root, incident.finding):
            return incident
    return None


def _opened(
    cause: Cause, known: Mapping[str, Incident], today: date, hidden: Callable[[Finding], bool]
) -> Incident:
    made = replace(begun(cause, known, today), last_day=today - timedelta(days=1))
    if hidden(made.finding):
        return replace(made, state="silenced")
    resting = made.quiet_until is not None and today <= made.quiet_until
    return made if resting else replace(made, notified_day=today)


def _grown(home: Incident, cause: Cause) -> Incident:
    severity = max(home.finding.severity, cause.severity, key=lambda name: RANK[name])
    return replace(
        home,
        finding=replace(home.finding, severity=severity),
        members=home.members | {f.fingerprint for f in cause.members},
        rules=home.rules | {f.rule for f in cause.members},
    )
