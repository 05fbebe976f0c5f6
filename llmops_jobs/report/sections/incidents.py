"""Incidents on the page: what is open, since when, what it measured, and who was told."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import of_call
from llmops_jobs.report.model import (
    Cell,
    Column,
    Decision,
    Finding,
    Link,
    Prose,
    Section,
    Status,
    Table,
    Text,
    Unit,
    cell,
    figure,
    label,
    name,
)
from llmops_jobs.report.standing import Known, known, rule_of, wording
from llmops_jobs.report.words import clean

_SEVERITY: Final[dict[str, Status]] = {"critical": "act", "warning": "watch", "info": "none"}
# A warning is a finding for so many days after it opened.
_KNOWN_DAYS: Final = 7
_UNITS: Final[dict[str, Unit]] = {
    "share": "ratio",
    "usd": "usd",
    "s": "seconds",
    "count": "count",
    "times": "number",
}
_SHOWN: Final = 10


def _measured(edition: Edition, one: Known) -> Prose:
    """What the rule measured on the last day of the report, or on the last before it cleared."""
    written = rule_of(edition, one.row.rule)
    if written is None or written.metric not in METRICS or len(edition.marts.projects) > 1:
        return []
    by_day = edition.marts.measured(written).get(frozenset(one.labels.items()), {})
    end = edition.last if one.live else one.row.last_day - timedelta(days=1)
    days = [day for day in by_day if one.row.first_day <= day <= end]
    if not days:
        return []
    row = by_day[max(days)]
    return [
        figure(float(row.value), _UNITS[METRICS[written.metric].unit]),
        " on ",
        figure(max(days), "day"),
        ", n = ",
        figure(int(row.n), "count"),
    ]


def _calls(edition: Edition, one: Known) -> str | None:
    """The calls of the slice since it opened."""
    labels = dict(one.labels)
    if "scope" in labels:
        dimension, _, value = labels.pop("scope").partition("=")
        labels[dimension] = value
    conditions = [condition for item in sorted(labels.items()) for condition in of_call(*item)]
    cleared = one.row.last_day if one.state == "resolved" else edition.last
    return edition.links.calls(one.opened, max(one.opened, cleared), *conditions)


def open_now(edition: Edition) -> list[Known]:
    return [one for one in known(edition) if one.live]


def section(edition: Edition) -> Section:
    start = edition.history[0]
    recent = [one for one in known(edition) if one.live or one.row.last_day >= start]
    if not recent:
        return Section(
            id="incidents",
            title="Incidents",
            blocks=[Text(prose=["No incident is open, and none was resolved lately."])],
        )
    live = sum(one.live for one in recent)
    note: Prose = []
    if len(recent) > _SHOWN:
        hidden = figure(len(recent) - _SHOWN, "count")
        note = [hidden, " more: ", name("llmops alerts list"), "."]
    return Section(
        id="incidents",
        title="Incidents",
        lead=[
            figure(live, "count"),
            " open on the last day, ",
            figure(len(recent) - live, "count"),
            " resolved in the ",
            figure(len(edition.history_days), "count"),
            " days before.",
        ],
        blocks=[
            Table(
                id="incident-list",
                title="Open first, then resolved",
                columns=[
                    Column(key="state", label="State"),
                    Column(key="summary", label="Incident"),
                    Column(key="first_day", label="Since"),
                    Column(key="cleared", label="Cleared"),
                    Column(key="owner", label="Owner"),
                    Column(key="delivery", label="Told"),
                ],
                rows=[_row(edition, one) for one in recent[:_SHOWN]],
                note=note,
            )
        ],
        traces=edition.links.calls(*edition.history),
    )


def _row(edition: Edition, one: Known) -> list[Cell]:
    status: Status = "ok" if not one.live else _SEVERITY.get(one.severity, "watch")
    runbook = str(one.row.runbook or "")
    note: Prose = [name(one.row.rule, 60), " · ", name(one.severity, 12)]
    if measured := _measured(edition, one):
        note = [*measured, " · ", *note]
    if runbook.startswith(("https://", "http://")):
        note += [" · ", Link(text="runbook", href=runbook)]
    cleared = one.row.last_day.isoformat() if not one.live else None
    return [
        Cell(text=one.state.capitalize(), status=status),
        label(wording(edition, one), 200, note=note, href=_calls(edition, one)),
        cell(one.opened.isoformat(), "day"),
        cell(cleared, "day"),
        label(one.row.owner, 40) if one.row.owner else Cell(text="–"),
        _told(edition, one),
    ]


def _told(edition: Edition, one: Known) -> Cell:
    """Which channels had accepted every message queued by the end of the last day, and which had
    not: a channel that gave up stays undelivered."""
    waiting: dict[str, bool] = {}
    for row in edition.marts.everything("notification"):
        same = row.fingerprint == one.row.fingerprint and row.episode == one.row.episode
        if not same or row.created_at is None or row.created_at.date() > edition.last:
            continue
        sent = row.sent_at is not None and row.sent_at.date() <= edition.last
        waiting[row.channel] = waiting.get(row.channel, False) or not sent
    if not waiting:
        return Cell(text="–")
    parts = [
        f"{clean(channel, 24)} {'undelivered' if late else '✓'}"
        for channel, late in sorted(waiting.items())
    ]
    return Cell(text=" · ".join(parts), status="act" if any(waiting.values()) else None)


def findings(edition: Edition) -> list[Finding]:
    found = []
    for one in open_now(edition):
        status = _SEVERITY.get(one.severity, "watch")
        if status == "none" or one.state == "silenced" or one.row.rule in _SAID:
            continue
        if status == "watch" and one.opened < edition.first - timedelta(days=_KNOWN_DAYS):
            continue  # no news any more; it stays in the list of incidents
        prose: Prose = [name(wording(edition, one), 240)]
        if measured := _measured(edition, one):
            prose += [": ", *measured]
        if one.opened < edition.first:
            prose += ["; open since ", figure(one.opened, "date")]
        prose.append(".")
        evidence = [Link(text="evidence", href="#incidents")]
        if calls := _calls(edition, one):
            evidence.append(Link(text="calls", href=calls))
        if str(one.row.runbook or "").startswith(("https://", "http://")):
            evidence.append(Link(text="runbook", href=str(one.row.runbook)))
        found.append(
            Finding(status=status, topic="Incident", prose=prose, evidence=evidence, weight=1.0)
        )
    return found


# Findings of their own say these with their numbers.
_SAID: Final = (
    "budget",
    "unpriced-model",
    "version-worse",
    "spend-anomaly",
    "change-point",
    "drift",
)


def decisions(edition: Edition) -> list[Decision]:
    waiting = [
        one for one in open_now(edition) if one.state == "open" and one.severity == "critical"
    ]
    return [
        Decision(
            prose=["Take the incident ", name(wording(edition, one), 160), "."],
            command=f"llmops alerts ack {clean(one.row.fingerprint, 64)[:12]}",
        )
        for one in waiting[:3]
    ]
