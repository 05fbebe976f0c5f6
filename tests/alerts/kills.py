"""A delivery that is killed between its steps, many times, and what the receiver saw."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.settings import AlertSettings, Channel
from llmops_jobs.store import Database
from tests.alerts.receiver import receiving

HOOK = Channel(name="hook", kind="webhook", url_env="HOOK", allow_private=True)
NOW = datetime(2026, 3, 5, 2, tzinfo=UTC)


@dataclass
class Seen:
    queued: set[str]
    received: list[str]
    kills: int
    statuses: set[str]


def message(number: int) -> dict[str, object]:
    return {
        "kind": "open",
        "dedup_key": f"m{number}:1",
        "rule": "errors",
        "labels": {},
        "severity": "warning",
        "summary": f"message {number}",
        "first_day": "2026-03-04",
        "day": "2026-03-04",
    }


def queue(database: Database, count: int) -> set[str]:
    keys = {f"m{number}:1:open" for number in range(count)}
    with database.engine.begin() as connection:
        for number in range(count):
            outbox.queue_plain(
                *(database, connection, AlertSettings(channels=(HOOK,)), f"m{number}:1:open"),
                message(number),
                now=NOW,
                channels=["hook"],
            )
    return keys


def kill_until(folder: Path, *, kills: int, messages: int, seed: int = 1) -> Seen:
    """Kills deliveries at random steps so many times, then lets one finish."""
    url = f"sqlite:///{folder}/kills.db"
    database = Database(url)
    database.create()
    keys = queue(database, messages)
    draw, now = random.Random(seed), NOW
    died = 0
    with receiving() as receiver:
        environment = {**os.environ, "HOOK": receiver.url}

        def run(dies_at: int) -> int:
            return subprocess.run(
                [sys.executable, "-m", "tests.alerts.fleeting", url, str(dies_at), now.isoformat()],
                env=environment,
                check=False,
            ).returncode

        while died < kills and outbox.pending(database, now):
            died += run(draw.randrange(5)) == 9
            now += outbox.LEASE + timedelta(seconds=1)
        assert run(10**9) == 0
        received = [body["event_key"] for body in receiver.bodies]
    statuses = set(database.table("notification")["status"])
    database.engine.dispose()
    return Seen(keys, received, died, statuses)
