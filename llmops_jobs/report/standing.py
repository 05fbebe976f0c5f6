"""Incidents as they stood on a day.

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
from llmops_jobs.report.sections.versions import metric_name

_RANK: Final = {"critical": 0, "warning": 1}
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


def rule_of(edition: Edition, rule: str) -> Rule | None:
    return next((one for one in (*RULES, *edition.alerts.rules) if one.name == rule), None)


def _severity(edition: Edition, row: Any, labels: dict[str, str]) -> str:
    if row.rule == "budget":
        status = {one.budget: one.status for one in edition.marts.on("budget_status", edition.last)}
        return "critical" if status.get(labels.get("budget", "")) == "over" else "warning"
    written = rule_of(edition, row.rule)
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
    written = rule_of(edition, one.row.rule)
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
