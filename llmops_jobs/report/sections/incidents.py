"""Incidents as they stood on the report's last day.

An incident's row tells of its latest night: its wording, severity and delivery go on changing. A
page of a past day must not, so it says only what stays true: the rule and its slice, the day it
opened, and whether it had cleared, was acknowledged or silenced by then. Its severity is that of
the rule; a budget's is that of the budget on the day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from llmops_jobs.alerts.defaults import RULES
from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.alerts.settings import Rule
from llmops_jobs.alerts.silences import Silence
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
from llmops_jobs.report.sections.versions import metric_name
from llmops_jobs.report.words import clean

_SEVERITY: Final[dict[str, Status]] = {"critical": "act", "warning": "watch", "info": "none"}
_RANK: Final = {"critical": 0, "warning": 1}
# A warning is a finding for so many days after it opened.
_KNOWN_DAYS: Final = 7
_UNITS: Final[dict[str, Unit]] = {"share": "ratio", "usd": "usd", "s": "seconds", "count": "count"}
_SHOWN: Final = 10
_NEWS: Final = {
    "unpriced-model": "calls without a price",
    "budget": "budget at risk or over",
    "spend-anomaly": "spend outside its forecast",
    "data-completeness": "the copy differs from its source",
    "version-worse": "the new version is worse",
    "drift": "drift",
    "new-error-family": "a kind of error never seen before",
    "model-swap": "another model answers than was asked for",
    "change-point": "a lasting change",
    "failed-run": "a run failed",
    "heartbeat": "a night did not finish",
}


@dataclass(frozen=True)
class Known:
    """An incident as of a day: state is open, acknowledged, silenced or resolved."""

    row: Any
    labels: dict[str, str]
    opened: date
    state: str
    severity: str

    @property
    def live(self) -> bool:
        return self.state != "resolved"


def known(edition: Edition) -> list[Known]:
    """What had opened by the last day, the live first, then the grave, then the new."""
    found = [one for row in edition.marts.everything("incident") if (one := _of(edition, row))]
    return sorted(
        found,
        key=lambda one: (
            not one.live,
            _RANK.get(one.severity, 2),
            -one.opened.toordinal(),
            one.row.fingerprint,
            one.row.episode,
        ),
    )


def _of(edition: Edition, row: Any) -> Known | None:
    detail = _object(row.detail)
    labels = {key: str(value) for key, value in _object(row.labels).items()}
    if row.first_day is None or row.state == "pending":
        return None
    waited = detail.get("for_days", 1)
    opened = row.first_day + timedelta(days=(waited if isinstance(waited, int) else 1) - 1)
    if opened > edition.last:
        return None
    severity = _severity(edition, row, labels)
    resolved = row.state == "resolved" and row.last_day is not None
    if resolved and row.last_day <= edition.last:
        state = "resolved"
    elif _silenced(edition, row, labels, severity):
        state = "silenced"
    elif row.acknowledged_at is not None and row.acknowledged_at.date() <= edition.last:
        state = "acknowledged"
    else:
        state = "open"
    return Known(row, labels, opened, state, severity)


def _object(text: Any) -> dict[str, Any]:
    try:
        made = json.loads(text or "{}")
    except (TypeError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _rule(edition: Edition, rule: str) -> Rule | None:
    return next((one for one in (*RULES, *edition.alerts.rules) if one.name == rule), None)


def _severity(edition: Edition, row: Any, labels: dict[str, str]) -> str:
    if row.rule == "budget":
        status = {one.budget: one.status for one in edition.marts.on("budget_status", edition.last)}
        return "critical" if status.get(labels.get("budget", "")) == "over" else "warning"
    written = _rule(edition, row.rule)
    if written is not None:
        return written.severity
    return "warning" if row.rule in _NEWS else str(row.severity)


def _silenced(edition: Edition, row: Any, labels: dict[str, str], severity: str) -> bool:
    for one in edition.marts.everything("silence"):
        if one.starts_at.date() <= edition.last <= one.ends_at.date():
            matcher = {key: str(value) for key, value in _object(one.matcher).items()}
            silence = Silence(
                one.silence_id, matcher, one.reason, one.created_by, one.starts_at, one.ends_at
            )
            if matcher and silence.covers(row.rule, severity, labels):
                return True
    return False


def wording(edition: Edition, one: Known) -> str:
    """What happened and where, from the rule and its labels alone."""
    written = _rule(edition, one.row.rule)
    if written is not None and written.metric in METRICS:
        direction = "above" if written.upwards else "below"
        usual = written.rises_by is not None or written.falls_by is not None
        says = f"{METRICS[written.metric].says} {direction} {'the usual' if usual else 'the bound'}"
    else:
        says = _NEWS.get(one.row.rule, str(one.row.rule).replace("-", " "))
    labels = {key: value for key, value in one.labels.items() if value and key != "period"}
    if one.row.rule == "new-error-family":
        known = {row.family_id: row.template for row in edition.marts.everything("error_family")}
        labels["family"] = known.get(labels.get("family", ""), "") or "unknown"
    where = [
        f"{key.replace('_', ' ')} {metric_name(value) if key in ('compared', 'metric') else value}"
        for key, value in sorted(labels.items())
    ]
    says = says[:1].upper() + says[1:]
    return f"{says} ({', '.join(where)})" if where else says


def _measured(edition: Edition, one: Known) -> Prose:
    """What the rule measured on the last day of the report, or on the last before it cleared."""
    written = _rule(edition, one.row.rule)
    if written is None or written.metric not in METRICS or len(edition.marts.projects) > 1:
        return []
    by_day = edition.marts.measured(written).get(frozenset(one.labels.items()), {})
    end = edition.last if one.live else one.row.last_day - timedelta(days=1)
    known = [day for day in by_day if one.row.first_day <= day <= end]
    if not known:
        return []
    row = by_day[max(known)]
    return [
        figure(float(row.value), _UNITS[METRICS[written.metric].unit]),
        " on ",
        figure(max(known), "day"),
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
