"""The marked events with their dates, which of them hold on a day, and the file that names them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from llmops_jobs.demo.replay.marks import MARKS, QUIET


@dataclass(frozen=True)
class Event:
    """One marked event of a replay, with its days and where it should be seen."""

    id: str
    kind: str
    first_day: str  # ISO, UTC
    last_day: str  # included; the replay's last day when it lasts
    scope: str  # total, or dimension=value
    table: str  # of the marts
    metric: str
    direction: str  # up, down, new, none
    size: float  # about: the factor for up and down by ratio, the difference for rates, the count
    size_unit: str  # ratio, difference, rows
    cause: str
    sentence: str


Active = Callable[[str], bool]


def active_on(ago: int, enabled: bool = True) -> Active:
    """Which events hold on a day that is `ago` days before the last."""
    names = {mark.id for mark in MARKS if enabled and mark.first >= ago >= mark.last}
    return names.__contains__


def dated(first_day: date, last_day: date) -> list[Event]:
    """The events that begin in the window, oldest first."""
    events = []
    for mark in MARKS:
        begins = last_day - timedelta(days=mark.first)
        if begins >= first_day:
            content = {k: v for k, v in asdict(mark).items() if k not in ("first", "last")}
            ends = last_day - timedelta(days=mark.last)
            events.append(Event(first_day=str(begins), last_day=str(ends), **content))
    return events


def quiet_days(first_day: date, last_day: date) -> list[tuple[str, str]]:
    """The stretches without a beginning or an end of an event, as (first, last) ISO days."""
    stretches = []
    for first, last in QUIET:
        begins, ends = last_day - timedelta(days=first), last_day - timedelta(days=last)
        if ends >= first_day:
            stretches.append((str(max(begins, first_day)), str(ends)))
    return stretches


def write(path: Path, first_day: date, last_day: date, events: list[Event]) -> Path:
    """The events and the quiet stretches as JSON."""
    content = {
        "first_day": str(first_day),
        "last_day": str(last_day),
        "quiet": [{"first_day": a, "last_day": b} for a, b in quiet_days(first_day, last_day)],
        "events": [asdict(event) for event in events],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
