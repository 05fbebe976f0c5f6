"""What the rules would have sent over past days, and how that compares with known events."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_jobs.alerts.causes import Overlap, alike, causes
from llmops_jobs.alerts.evaluate import nights
from llmops_jobs.alerts.findings import slice_of
from llmops_jobs.alerts.incidents import Incident, Policy, advance
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.errors import UserError

if TYPE_CHECKING:
    from llmops_jobs.store import Database


def replay_days(
    database: Database,
    settings: AlertSettings,
    first: date,
    last: date,
    project: str | None = None,
    only: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The incidents that would have opened, from a clean slate; nothing is stored or sent."""
    import sqlalchemy as sa

    from llmops_jobs.store.tables import TABLES

    column = TABLES["usage_daily"].c.project_id
    with database.engine.connect() as connection:
        found = sorted(connection.execute(sa.select(column).distinct()).scalars())
    if project is not None and project not in found:
        raise UserError(f"there are no marts of project {project}: {', '.join(found) or 'none'}")
    rows: list[dict[str, Any]] = []
    for name in [project] if project is not None else found:
        rows += _project(Marts(database, name, first, last), settings, only)
    return sorted(rows, key=lambda row: (row["day"], row["summary"]))


def _project(marts: Marts, settings: AlertSettings, only: Sequence[str]) -> list[dict[str, Any]]:
    known: dict[str, Incident] = {}
    told: dict[str, dict[str, Any]] = {}
    for night in nights(marts, settings):
        overlap = Overlap.of_day(marts, night.day)
        begun = {m: i.first_day for i in known.values() if i.live for m in i.members}
        found = causes(night.findings, overlap, night.day, begun)
        policy = Policy(
            reminder_days=settings.reminder_days,
            no_data_days=settings.no_data_days,
            same=functools.partial(alike, overlap=overlap),
        )
        changed, events = advance(known, found, night, policy)
        known |= {item.finding.fingerprint: item for item in changed}
        for event in events:
            finding, key = event.incident.finding, event.incident.dedup_key
            if event.kind == "open":
                told[key] = {
                    "day": event.day.isoformat(),
                    "resolved_day": None,
                    "project": marts.project,
                    "rule": finding.rule,
                    "severity": finding.severity,
                    "labels": dict(finding.labels),
                    "summary": finding.summary,
                    "also": [child.summary for child in event.children],
                    "rules": sorted(event.incident.rules),
                    "slices": [finding.slice, *(child.slice for child in event.children)],
                }
            elif event.kind == "resolve" and key in told:
                told[key]["resolved_day"] = event.day.isoformat()
    return [row for row in told.values() if not only or set(only) & set(row["rules"])]


def read_events(path: Path) -> list[dict[str, Any]]:
    """Known events: `{"events": [{"id", "first_day", "last_day", "scope", "direction"}, …]}`.

    Raises UserError that names what is missing. Direction `none` marks one that must not alert.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        events = content["events"] if isinstance(content, dict) else content
        for event in events:
            date.fromisoformat(event["first_day"]), date.fromisoformat(event["last_day"])
            event["id"], event["scope"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no file of events ({type(error).__name__}: {error}): each needs id, "
            "first_day, last_day and scope"
        ) from None
    return list(events)


def compare(
    sent: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]], first: date, last: date
) -> dict[str, Any]:
    """Which incident answers which event, precision and recall; marks `event` in `sent`.

    An incident answers an event when it opens while the event lasts or up to a day after, and one
    of its slices lies in the event's; of an event of everything, when it opens on its first days
    and everything is one of its slices.
    An event is found when an incident answers it within a day of its beginning. Incidents of a
    budget answer to the budget's own end, not to events: they are counted apart.
    """
    real = [
        event
        for event in events
        if event.get("direction") != "none"
        and first <= date.fromisoformat(event["first_day"]) <= last
    ]
    found: dict[str, int] = {event["id"]: 0 for event in real}
    for row in sent:
        row["event"] = None
        day = date.fromisoformat(row["day"])
        # A budget of weeks is overrun by all that was spent in them.
        lasting = row["rule"] == "budget" and "period" in row["labels"]
        best = [event for event in real if not lasting and _answers(row, day, event)]
        if best:
            event = min(best, key=lambda e: abs((day - date.fromisoformat(e["first_day"])).days))
            row["event"] = event["id"]
            if abs((day - date.fromisoformat(event["first_day"])).days) <= 1:
                found[event["id"]] += 1
    judged = [row for row in sent if row["rule"] != "budget" or row["event"]]
    false = sum(row["event"] is None for row in judged)
    return {
        "precision": 1 - false / len(judged) if judged else None,
        "recall": sum(n > 0 for n in found.values()) / len(real) if real else None,
        "false": false,
        "budgets": len(sent) - len(judged),
        "missed": [name for name, n in found.items() if n == 0],
        "twice": [name for name, n in found.items() if n > 1],
    }


def _answers(row: dict[str, Any], day: date, event: dict[str, Any]) -> bool:
    begins, ends = (date.fromisoformat(event[name]) for name in ("first_day", "last_day"))
    if not begins <= day <= ends + timedelta(days=1):
        return False
    wanted = slice_of(event["scope"])
    if not wanted:
        return {} in row["slices"] and (day - begins).days <= 1
    return any(wanted.items() <= slice_.items() for slice_ in row["slices"])
