"""The life of an incident, as a pure function of what is known and what a night found.

States: pending (fired, not yet often enough), open, acknowledged, resolved. A night that was
evaluated before changes nothing: running a partition again, or a backfill of days that an incident
has already lived through, neither opens nor resolves it. The next firing after a resolution is a
new episode with a dedup key of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from llmops_jobs.alerts.findings import Finding

State = Literal["pending", "open", "acknowledged", "resolved"]
Kind = Literal["open", "reminder", "escalate", "resolve"]


@dataclass(frozen=True)
class Incident:
    """One episode. `fired` and `cleared` count evaluated days in a row."""

    finding: Finding
    episode: int
    state: State
    first_day: date
    last_day: date
    fired: int
    cleared: int
    notified_day: date | None = None

    @property
    def dedup_key(self) -> str:
        return f"{self.finding.fingerprint}:{self.episode}"


@dataclass(frozen=True)
class Event:
    """Something to tell people. The key is the same however often the night is evaluated."""

    incident: Incident
    kind: Kind
    day: date

    @property
    def key(self) -> str:
        suffix = f":{self.day}" if self.kind in ("reminder", "escalate") else ""
        return f"{self.incident.dedup_key}:{self.kind}{suffix}"


def advance(
    known: Mapping[str, Incident], findings: Sequence[Finding], day: date, *, reminder_days: int
) -> tuple[list[Incident], list[Event]]:
    """The incidents that a day's findings touch, in their new state, and what to tell.

    `known` holds the latest episode per fingerprint. A fingerprint without a finding that day was
    not looked at and stays as it is.
    """
    changed: list[Incident] = []
    events: list[Event] = []
    for finding in findings:
        before = known.get(finding.fingerprint)
        if before is not None and day <= before.last_day:
            continue
        after = _step(before, finding, day)
        if after is None:
            continue
        kind = _kind(before, after, day, reminder_days)
        if kind is not None:
            after = replace(after, notified_day=day)
            events.append(Event(after, kind, day))
        changed.append(after)
    return changed, events


def _step(before: Incident | None, finding: Finding, day: date) -> Incident | None:
    over = before is None or before.state == "resolved"
    if over and not finding.firing:
        return None
    if before is None or over:
        state: State = "open" if finding.for_days <= 1 else "pending"
        episode = 1 if before is None else before.episode + 1
        return Incident(finding, episode, state, day, day, 1, 0)
    if finding.firing:
        fired = before.fired + 1
        state = before.state
        if state == "pending" and fired >= finding.for_days:
            state = "open"
        return replace(before, finding=finding, state=state, last_day=day, fired=fired, cleared=0)
    cleared = before.cleared + 1
    # What was only pending never reached anybody: one clear day forgets it.
    resolved = before.state == "pending" or cleared >= finding.clear_days
    return replace(
        before,
        # The words of the firing day stay: they say what the incident was.
        finding=replace(before.finding, value=finding.value),
        state="resolved" if resolved else before.state,
        last_day=day,
        fired=0,
        cleared=cleared,
    )


_RANK = {"info": 0, "warning": 1, "critical": 2}


def _kind(before: Incident | None, after: Incident, day: date, reminder_days: int) -> Kind | None:
    told = before is not None and before.state in ("open", "acknowledged")
    if after.state == "resolved":
        return "resolve" if told else None
    if after.state == "pending":
        return None
    if not told or before is None:
        return "open"
    if _RANK[after.finding.severity] > _RANK[before.finding.severity]:
        return "escalate"
    due = before.notified_day is None or (day - before.notified_day).days >= reminder_days
    if after.state == "open" and after.fired and due:
        return "reminder"
    return None
