"""Draining the outbox: lease, send, mark; back off, and give up with the reason kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.channels import RefusedError, RetryLaterError, send
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.errors import ConfigError
from llmops_jobs.store import Database

MAX_ATTEMPTS = 8
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(hours=6)


@dataclass
class Delivered:
    sent: int = 0
    retried: int = 0
    dead: int = 0


def deliver(
    database: Database,
    settings: AlertSettings,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Sends every message that is due; returns how it went. Safe to run side by side."""
    channels = {channel.name: channel for channel in settings.channels}
    counts = Delivered()
    while (message := outbox.lease(database, clock())) is not None:
        channel = channels.get(message["channel"])
        try:
            if channel is None:
                raise RefusedError(f"there is no channel {message['channel']} in the configuration")
            send(channel, message["event_key"], json.loads(message["payload"]))
        except RetryLaterError as error:
            wait = _wait(message["attempts"], error.after)
            if message["attempts"] >= MAX_ATTEMPTS:
                outbox.mark(database, message, status="dead", now=clock(), last_error=str(error))
                counts.dead += 1
            else:
                outbox.mark(
                    database,
                    message,
                    status="pending",
                    now=clock(),
                    due_at=clock() + wait,
                    last_error=str(error),
                )
                counts.retried += 1
        except (RefusedError, ConfigError) as error:
            outbox.mark(database, message, status="dead", now=clock(), last_error=str(error))
            counts.dead += 1
        else:
            outbox.mark(database, message, status="sent", now=clock(), last_error="")
            counts.sent += 1
    return counts


def _wait(attempts: int, asked: float | None) -> timedelta:
    if asked is not None:
        return timedelta(seconds=asked)
    return min(_FIRST_WAIT * 2 ** (attempts - 1), _LONGEST_WAIT)
