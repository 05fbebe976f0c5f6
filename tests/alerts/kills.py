"""A delivery that is killed between its steps, many times, and what the receiver saw."""

from __future__ import annotations

import multiprocessing
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llmops_jobs.alerts import outbox
from llmops_jobs.alerts.settings import AlertSettings, Channel
from llmops_jobs.store import Database
from tests.alerts import fleeting
from tests.alerts.receiver import receiving

HOOK = Channel(name="hook", kind="webhook", url_env="HOOK", allow_private=True)
NOW = datetime(2026, 3, 5, 2, tzinfo=UTC)

# By a delivery, when it needs them.
_IMPORTED = ("httpx", "httpcore", "anyio", "llmops_jobs.alerts.channels.webhook")


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
    # A process of its own for each; what it imports is imported once, in a server without threads.
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["tests.alerts.fleeting", *_IMPORTED])
    draw, now = random.Random(seed), NOW
    died = 0
    with receiving() as receiver:

        def run(dies_at: int) -> int | None:
            process = fork.Process(target=fleeting.main, args=(url, receiver.url, dies_at, now))
            process.start()
            process.join()
            return process.exitcode

        while died < kills and outbox.pending(database, now):
            died += run(draw.randrange(5)) == 9
            now += outbox.LEASE + timedelta(seconds=1)
        assert run(10**9) == 0
        received = [body["event_key"] for body in receiver.bodies]
    statuses = set(database.table("notification")["status"])
    database.engine.dispose()
    return Seen(keys, received, died, statuses)
