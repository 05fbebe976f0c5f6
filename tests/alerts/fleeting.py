"""One delivery in a process of its own that dies between two steps, given its number."""

from __future__ import annotations

import os
from datetime import datetime

from llmops_jobs.alerts import delivery, outbox
from llmops_jobs.alerts.settings import AlertSettings, Channel
from llmops_jobs.store import Database


def main(url: str, hook: str, dies_at: int, moment: datetime) -> None:
    """Steps: 0 before a lease, 1 after it, 2 after the send, 3 after the mark; then the next."""
    step = 0

    def reached() -> None:
        nonlocal step
        if step == dies_at:
            os._exit(9)
        step += 1

    lease, mark, send = outbox.lease, outbox.mark, delivery.send

    def leased(*a: object, **k: object) -> object:
        reached()
        found = lease(*a, **k)  # type: ignore[arg-type]
        if found is not None:
            reached()
        return found

    def sent(*a: object) -> None:
        send(*a)  # type: ignore[arg-type]
        reached()

    def marked(*a: object, **k: object) -> None:
        mark(*a, **k)  # type: ignore[arg-type]
        reached()

    outbox.lease, outbox.mark, delivery.send = leased, marked, sent  # type: ignore[assignment]
    os.environ["HOOK"] = hook
    channel = Channel(name="hook", kind="webhook", url_env="HOOK", allow_private=True)
    delivery.deliver(Database(url), AlertSettings(channels=(channel,)), clock=lambda: moment)
