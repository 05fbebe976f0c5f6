"""Open and recently resolved incidents, and whether their messages arrived."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.report.edition import Edition
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
    cell,
    figure,
    label,
    name,
)
from llmops_jobs.report.words import clean

_SEVERITY: dict[str, Status] = {"critical": "act", "warning": "watch", "info": "none"}
# A warning is a finding for so many days after it opened.
_KNOWN_DAYS = 7
_OPEN = ("open", "acknowledged", "silenced")


def known(edition: Edition) -> pd.DataFrame:
    """Incidents as they stood on the last day: what opened later is not there, what resolved
    later is still open; a column `as_of_state`."""
    rows = edition.marts.everything("incident")
    if rows.empty:
        return rows.assign(as_of_state=[])
    begun = [_before(day, edition.last) for day in rows["first_day"]]
    rows = rows[np.array(begun, dtype=bool)]
    states = []
    for row in rows.itertuples():
        resolved_later = row.state == "resolved" and not _before(_resolved_day(row), edition.last)
        states.append("open" if resolved_later else row.state)
    return rows.assign(as_of_state=states)


def _before(day: Any, last: date) -> bool:
    return isinstance(day, date) and day <= last


def _resolved_day(row: Any) -> date | None:
    """The evaluated day on which it cleared."""
    return row.last_day if isinstance(row.last_day, date) else None


def open_now(edition: Edition) -> pd.DataFrame:
    rows = known(edition)
    return rows[rows["as_of_state"].isin(_OPEN)]


def section(edition: Edition) -> Section:
    rows = known(edition)
    recent = [
        row.as_of_state in _OPEN or _before(edition.history[0], row.last_day or edition.last)
        for row in rows.itertuples()
    ]
    rows = rows[np.array(recent, dtype=bool)]
    if rows.empty:
        return Section(
            id="incidents",
            title="Incidents",
            blocks=[Text(prose=["No incident is open, and none was resolved lately."])],
        )
    order = rows["as_of_state"].map(lambda state: 0 if state in _OPEN else 1)
    rank = rows["severity"].map({"critical": 0, "warning": 1}).fillna(2)
    rows = rows.assign(_order=order, _rank=rank).sort_values(
        ["_order", "_rank", "first_day"], ascending=[True, True, False], kind="stable"
    )
    sent = edition.marts.everything("notification")
    table = [_row(row, _delivery(sent, row)) for row in rows.head(12).itertuples()]
    return Section(
        id="incidents",
        title="Incidents",
        blocks=[
            Table(
                id="incident-list",
                title="Open first, then resolved",
                columns=[
                    Column(key="state", label="State"),
                    Column(key="summary", label="Incident"),
                    Column(key="first_day", label="Since"),
                    Column(key="owner", label="Owner"),
                    Column(key="delivery", label="Delivery"),
                ],
                rows=table,
            )
        ],
    )


def _row(row: Any, delivery: Cell) -> list[Cell]:
    state = str(row.as_of_state)
    status: Status = "ok" if state == "resolved" else _SEVERITY.get(str(row.severity), "watch")
    runbook = str(row.runbook or "")
    return [
        Cell(text=state.capitalize(), status=status),
        label(
            row.summary or row.rule,
            200,
            note=[name(row.rule, 60), " · ", name(row.severity, 12)],
            href=runbook if runbook.startswith(("https://", "http://")) else None,
        ),
        cell(row.first_day.isoformat(), "day"),
        label(row.owner, 40) if row.owner else Cell(text="–"),
        delivery,
    ]


def _delivery(sent: pd.DataFrame, incident: Any) -> Cell:
    rows = sent[
        (sent["fingerprint"] == incident.fingerprint) & (sent["episode"] == incident.episode)
    ]
    if rows.empty:
        return Cell(text="not queued")
    latest = rows.groupby("channel", sort=True).last()
    words = {"sent": "✓", "dead": "failed", "pending": "waiting", "leased": "waiting"}
    parts = [
        f"{clean(channel, 24)} {words.get(row.status, row.status)}"
        for channel, row in latest.iterrows()
    ]
    dead = (latest["status"] == "dead").any()
    return Cell(text=" · ".join(parts), status="act" if dead else None)


def findings(edition: Edition) -> list[Finding]:
    found = []
    for row in open_now(edition).itertuples():
        status = _SEVERITY.get(str(row.severity), "watch")
        if status == "none" or row.as_of_state == "silenced":
            continue
        if status == "watch" and row.first_day < edition.first - timedelta(days=_KNOWN_DAYS):
            continue  # no news any more; it stays in the list of incidents
        prose: Prose = [name(row.summary or row.rule, 240)]
        if isinstance(row.first_day, date) and row.first_day < edition.first:
            end = "" if str(row.summary or "").rstrip().endswith((".", "!", "?")) else "."
            prose += [f"{end} Open since ", figure(row.first_day, "date"), "."]
        evidence = [Link(text="evidence", href="#incidents")]
        if str(row.runbook or "").startswith(("https://", "http://")):
            evidence.append(Link(text="runbook", href=str(row.runbook)))
        found.append(
            Finding(
                status=status,
                topic="Incident",
                prose=prose,
                evidence=evidence,
                weight=_weight(row),
            )
        )
    return found


def _weight(row: Any) -> float:
    try:
        detail = json.loads(row.detail or "{}")
        return float(detail.get("impact_usd", 0) or 0)
    except (ValueError, TypeError, AttributeError):
        return 0.0


def decisions(edition: Edition) -> list[Decision]:
    rows = open_now(edition)
    waiting = rows[(rows["as_of_state"] == "open") & (rows["severity"] == "critical")]
    return [
        Decision(
            prose=["Take the incident ", name(row.summary or row.rule, 160)],
            command=f"llmops alerts ack {clean(row.fingerprint, 64)[:12]}",
        )
        for row in waiting.head(3).itertuples()
    ]
