"""The life of an incident, as a pure function of what is known and what a night found.

States: pending (fired, not yet often enough), open, acknowledged, resolved; silenced is an open one
that a silence hides. A night that was evaluated before changes nothing: running a partition again,
or a backfill of days that an incident has already lived through, neither opens nor resolves it. The
next firing after a resolution is a new episode with a dedup key of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal

from llmops_jobs.alerts.causes import RANK, Cause
from llmops_jobs.alerts.findings import Finding, Night

State = Literal["pending", "open", "acknowledged", "resolved", "silenced"]
# refresh: nothing new, for receivers that forget what is not repeated.
Kind = Literal["open", "reminder", "escalate", "resolve", "refresh"]
# An incident of another rule that began so near in a related slice is the same trouble.
_NEAR_DAYS = 3


@dataclass(frozen=True)
class Policy:
    """`told` False: the day is too old to tell anybody. `same` says whether a new finding belongs
    to what an incident is about; `hidden` whether a silence covers it."""

    reminder_days: int = 7
    no_data_days: int = 3
    escalate_days: int | None = None
    told: bool = True
    same: Callable[[Finding, Finding], bool] = lambda one, other: False
    hidden: Callable[[Finding], bool] = lambda finding: False


@dataclass(frozen=True)
class Incident:
    """One episode. `fired` and `cleared` count evaluated days in a row; `members` are the
    fingerprints of all findings that were ever part of it; `notified_day` is None while nobody has
    been told."""

    finding: Finding
    episode: int
    state: State
    first_day: date
    last_day: date
    fired: int
    cleared: int
    notified_day: date | None = None
    escalated_day: date | None = None
    quiet_until: date | None = None  # of a rule with a cooldown
    members: frozenset[str] = field(default_factory=frozenset)
    rules: frozenset[str] = field(default_factory=frozenset)

    @property
    def dedup_key(self) -> str:
        return f"{self.finding.fingerprint}:{self.episode}"

    @property
    def live(self) -> bool:
        return self.state != "resolved"

    @property
    def watched(self) -> bool:
        """Whether the watch opened it, of which no night has spoken yet: see `watch.life`."""
        return "watched_at" in self.finding.detail and self.last_day < self.first_day


@dataclass(frozen=True)
class Event:
    """Something to tell people. The key is the same however often the night is evaluated."""

    incident: Incident
    kind: Kind
    day: date
    children: tuple[Finding, ...] = ()
    why: str = ""

    @property
    def key(self) -> str:
        suffix = f":{self.day}" if self.kind not in ("open", "resolve") else ""
        return f"{self.incident.dedup_key}:{self.kind}{suffix}"


def advance(
    known: Mapping[str, Incident], found: Sequence[Cause], night: Night, policy: Policy
) -> tuple[list[Incident], list[Event]]:
    """The incidents that a day touches, in their new state, and what to tell.

    `known` holds the latest episode per fingerprint of the root finding.
    """
    day = night.day
    live = [incident for incident in known.values() if incident.live]
    assigned: dict[str, list[Cause]] = {}
    new: list[Cause] = []
    changed: list[Incident] = []
    events: list[Event] = []
    for cause in found:
        home = _home(cause, live, known, day, policy)
        if home is None:
            new.append(cause)
        elif home.live and home.last_day < day:
            assigned.setdefault(home.finding.fingerprint, []).append(cause)
        elif home.live and not home.watched and home.first_day == day + timedelta(days=1):
            changed.append(_begun_before(home, cause, day))
    for incident in live:
        causes = assigned.get(incident.finding.fingerprint, [])
        if incident.last_day >= day or (
            incident.watched and not causes and day <= incident.first_day
        ):
            continue  # its first day as a whole does not say whether it is over
        after, why = _lived(incident, causes, night, policy)
        if after is not None:
            _conclude(incident, after, causes, why, day, policy, changed, events)
    for cause in new:
        _conclude(None, begun(cause, known, day), [cause], "", day, policy, changed, events)
    return changed, events


def _home(
    cause: Cause,
    live: Iterable[Incident],
    known: Mapping[str, Incident],
    day: date,
    policy: Policy,
) -> Incident | None:
    """The incident that a cause belongs to; an evaluated or resolved one means: nothing new."""
    prints = {finding.fingerprint for finding in cause.members}
    onset = min(finding.onset or day for finding in cause.members)
    for incident in live:
        if cause.root.fingerprint in incident.members or (incident.finding.fingerprint in prints):
            return incident
    for incident in known.values():
        # What the watch told of on the day itself, the night finds under another name perhaps.
        told = "watched_at" in incident.finding.detail and incident.first_day == day
        if told and policy.same(cause.root, incident.finding):
            return incident
        near = abs((onset - incident.first_day).days) <= _NEAR_DAYS
        # What began with it and was seen later is told already; what is seen on its first day
        # is news, however near.
        if (
            near
            and onset < day
            and incident.last_day >= onset
            and (incident.live or incident.last_day < day)
            and policy.same(cause.root, incident.finding)
        ):
            return incident
    before = known.get(cause.root.fingerprint)
    return before if before is not None and before.last_day >= day else None


def begun(cause: Cause, known: Mapping[str, Incident], day: date) -> Incident:
    """The next episode of a cause's incident, on its first day."""
    root = cause.root
    before = known.get(root.fingerprint)
    return Incident(
        finding=replace(root, severity=cause.severity),
        episode=1 if before is None else before.episode + 1,
        state="open" if root.for_days <= 1 else "pending",
        first_day=day,
        last_day=day,
        fired=1,
        cleared=0,
        quiet_until=(
            before.last_day + timedelta(days=root.cooldown_days)
            if before is not None and root.cooldown_days and before.notified_day is not None
            else None
        ),
        members=frozenset(f.fingerprint for f in cause.members),
        rules=frozenset(f.rule for f in cause.members),
    )


def _begun_before(incident: Incident, cause: Cause, day: date) -> Incident:
    """An incident whose day before, evaluated after it, had the trouble already: so that the order
    in which days are run leaves no trace. Nobody is told again."""
    unbroken = incident.fired == (incident.last_day - incident.first_day).days + 1
    return replace(
        incident,
        first_day=day,
        fired=incident.fired + 1 if unbroken else incident.fired,
        members=incident.members | {finding.fingerprint for finding in cause.members},
        rules=incident.rules | {finding.rule for finding in cause.members},
    )


def _lived(
    before: Incident, causes: Sequence[Cause], night: Night, policy: Policy
) -> tuple[Incident | None, str]:
    """The incident after a day, and why it ended if it did; None when nobody looked."""
    day = night.day
    if causes:
        members = [finding for cause in causes for finding in cause.members]
        return _fired(before, members, causes, day), ""
    mine = [f for f in night.findings if f.fingerprint in before.members]
    own = [f for f in mine if f.fingerprint == before.finding.fingerprint]
    if any(finding.holding for finding in own) and before.state != "pending":
        return replace(before, last_day=day, fired=before.fired + 1, cleared=0), ""
    if not mine and not before.rules & night.content:
        if (day - before.last_day).days <= policy.no_data_days:
            return None, ""
        return replace(before, state="resolved", last_day=day, fired=0), "no data any more"
    cleared = before.cleared + 1
    # What was only pending never reached anybody: one clear day forgets it.
    over = before.state == "pending" or cleared >= before.finding.clear_days
    root = own[0] if own else None
    return replace(
        before,
        # The words of the firing day stay: they say what the incident was.
        finding=replace(before.finding, value=root.value if root else before.finding.value),
        state="resolved" if over else before.state,
        last_day=day,
        fired=0,
        cleared=cleared,
    ), "back to usual" if root else "not seen any more"


def _fired(
    before: Incident, members: Sequence[Finding], causes: Sequence[Cause], day: date
) -> Incident:
    root = next((f for f in members if f.fingerprint == before.finding.fingerprint), None)
    rank = RANK.__getitem__
    severity = max((cause.severity for cause in causes), key=rank)
    if before.state != "pending":  # it may rise, and falls only with the end
        severity = max(severity, before.finding.severity, key=rank)
    state = before.state
    if state == "pending" and before.fired + 1 >= before.finding.for_days:
        state = "open"
    return replace(
        before,
        finding=replace(root or before.finding, severity=severity),
        state=state,
        last_day=day,
        fired=before.fired + 1,
        cleared=0,
        members=before.members | {f.fingerprint for f in members},
        rules=before.rules | {f.rule for f in members},
    )


def _conclude(
    before: Incident | None,
    after: Incident,
    causes: Sequence[Cause],
    why: str,
    day: date,
    policy: Policy,
    changed: list[Incident],
    events: list[Event],
) -> None:
    hidden = policy.hidden(after.finding)
    if hidden and after.state == "open":
        after = replace(after, state="silenced")
    elif not hidden and after.state == "silenced":
        after = replace(after, state="open")
    kind = _kind(before, after, day, policy, hidden) if policy.told else None
    if kind is not None:
        after = replace(
            after,
            notified_day=after.notified_day if kind == "refresh" else day,
            escalated_day=day if kind == "escalate" else after.escalated_day,
        )
        children = tuple(f for cause in causes for f in cause.members)
        events.append(
            Event(
                after,
                kind,
                day,
                tuple(f for f in children if f.fingerprint != after.finding.fingerprint),
                why,
            )
        )
    changed.append(after)


def _kind(
    before: Incident | None, after: Incident, day: date, policy: Policy, hidden: bool
) -> Kind | None:
    told = after.notified_day is not None
    if after.state == "resolved":
        return "resolve" if told else None
    if after.state == "pending" or hidden:
        return None
    if not told:
        resting = after.quiet_until is not None and day <= after.quiet_until
        return "open" if after.fired and not resting else None
    if before is not None and RANK[after.finding.severity] > RANK[before.finding.severity]:
        return "escalate"
    if after.state != "open":
        return "refresh"
    waited = (day - after.first_day).days
    escalates = policy.escalate_days is not None and waited >= policy.escalate_days
    if escalates and after.escalated_day is None:
        return "escalate"
    due = after.notified_day is None or (day - after.notified_day).days >= policy.reminder_days
    return "reminder" if after.fired and due else "refresh"
