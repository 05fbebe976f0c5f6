"""Draining the outbox: lease, send, mark; back off, and give up with the reason kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from llmops_jobs.alerts import outbox, silences
from llmops_jobs.alerts.channels import RefusedError, RetryLaterError, send
from llmops_jobs.alerts.settings import AlertSettings, Channel
from llmops_jobs.errors import ConfigError
from llmops_jobs.store import Database

MAX_ATTEMPTS = 8
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(hours=6)
# Kinds that a silence holds back; an end is always told to those who heard of the beginning.
_HUSHED = ("open", "reminder", "escalate", "refresh")


@dataclass
class Delivered:
    """Counts; `resting` are the channels that did not answer and were left alone."""

    sent: int = 0
    retried: int = 0
    dead: int = 0
    silenced: int = 0
    resting: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        parts = [f"{self.sent} sent"]
        parts += [f"{self.retried} to be tried again"] if self.retried else []
        parts += [f"{self.silenced} silenced"] if self.silenced else []
        parts += [f"{self.dead} given up"] if self.dead else []
        parts += [f"no answer from {', '.join(sorted(self.resting))}"] if self.resting else []
        return ", ".join(parts)


def deliver(
    database: Database,
    settings: AlertSettings,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Sends every message that is due; returns how it went. Safe to run side by side.

    A channel that does not answer is left alone for the rest of the call: one dead endpoint does
    not hold up the others.
    """
    channels = {channel.name: channel for channel in settings.channels}
    counts = Delivered()
    quiet = silences.active(database, clock())
    while (message := outbox.lease(database, clock(), resting=counts.resting)) is not None:
        body = json.loads(message["payload"])
        if message["kind"] in _HUSHED and any(
            s.covers(body.get("rule", ""), body.get("severity", ""), body.get("labels") or {})
            for s in quiet
        ):
            outbox.mark(database, message, status="silenced", now=clock())
            counts.silenced += 1
            continue
        _one(database, channels.get(message["channel"]), message, body, clock, counts)
    return counts


def _one(
    database: Database,
    channel: Channel | None,
    message: Mapping[str, Any],
    body: Mapping[str, Any],
    clock: Callable[[], datetime],
    counts: Delivered,
) -> None:
    def mark(status: str, error: str = "", **values: Any) -> None:
        outbox.mark(database, message, status=status, now=clock(), last_error=error, **values)

    try:
        if channel is None:
            raise RefusedError(f"there is no channel {message['channel']} in the configuration")
        send(channel, message["event_key"], body, clock())
    except RetryLaterError as error:
        counts.resting.add(message["channel"])
        if message["attempts"] >= MAX_ATTEMPTS:
            mark("dead", f"{error}, {MAX_ATTEMPTS} times")
            counts.dead += 1
        else:
            wait = _wait(message["event_key"], message["attempts"], error.after)
            mark("pending", str(error), due_at=clock() + wait)
            counts.retried += 1
    except (RefusedError, ConfigError) as error:
        mark("dead", str(error))
        counts.dead += 1
    else:
        mark("sent")
        counts.sent += 1


def _wait(key: str, attempts: int, asked: float | None) -> timedelta:
    """The receiver's wish, else twice as long each time; spread, so that not all come at once."""
    if asked is not None:
        return min(timedelta(seconds=asked), _LONGEST_WAIT)
    spread = 0.8 + 0.4 * (zlib.crc32(f"{key}{attempts}".encode()) % 1000) / 1000
    return min(_FIRST_WAIT * 2 ** (attempts - 1), _LONGEST_WAIT) * spread
