"""Nothing lost, nothing new twice: kills, two workers, a clock set back, a database gone."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from llmops_jobs.alerts import delivery, outbox
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.store import Database
from tests.alerts.kills import HOOK, NOW, kill_until, message, queue
from tests.alerts.receiver import receiving

SETTINGS = AlertSettings(channels=(HOOK,))


@pytest.mark.slow
def test_killed_between_any_two_steps_nothing_is_lost_or_new_twice(tmp_path: Path) -> None:
    seen = kill_until(tmp_path, kills=200, messages=100)
    assert seen.kills == 200
    assert set(seen.received) == seen.queued
    assert seen.statuses == {"sent"}


def test_two_workers_send_every_message_once(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = queue(any_database, 24)
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        workers = [
            threading.Thread(
                target=delivery.deliver,
                args=(any_database, SETTINGS),
                kwargs={"clock": lambda: NOW},
            )
            for _ in range(2)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    received = [body["event_key"] for body in receiver.bodies]
    assert sorted(received) == sorted(keys)


def test_a_clock_that_was_set_back_holds_nothing_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(database, 1)
    assert outbox.lease(database, NOW + timedelta(days=3)) is not None  # then the clock goes back
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        assert delivery.deliver(database, SETTINGS, clock=lambda: NOW).sent == 1


def test_an_end_never_overtakes_a_beginning(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"fingerprint": "f", "episode": 1, "project_id": "p"}
    with database.engine.begin() as connection:
        for kind in ("open", "resolve"):
            outbox.queue_plain(
                *(database, connection, SETTINGS, f"f:1:{kind}"),
                {**message(1), **own, "kind": kind},
                now=NOW,
                channels=["hook"],
            )
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        receiver.answers = [503]
        assert delivery.deliver(database, SETTINGS, clock=lambda: NOW).sent == 0
        # A second later the end would be due, and the beginning still waits.
        soon = NOW + timedelta(seconds=1)
        assert delivery.deliver(database, SETTINGS, clock=lambda: soon).sent == 0
        later = NOW + timedelta(minutes=5)
        assert delivery.deliver(database, SETTINGS, clock=lambda: later).sent == 2
    assert [body["kind"] for body in receiver.bodies] == ["open", "resolve"]


def test_a_dead_channel_does_not_hold_up_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = HOOK.model_copy(update={"name": "other", "url_env": "OTHER"})
    settings = AlertSettings(channels=(HOOK, other))
    with database.engine.begin() as connection:
        for number in range(5):
            for name in ("hook", "other"):
                outbox.queue_plain(
                    *(database, connection, settings, f"m{number}:1:open", message(number)),
                    now=NOW,
                    channels=[name],
                )
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", "http://127.0.0.1:1/")
        monkeypatch.setenv("OTHER", receiver.url)
        done = delivery.deliver(database, settings, clock=lambda: NOW)
    assert (done.sent, done.retried) == (5, 1)
    assert done.resting == {"hook"}


def test_a_database_that_was_gone_loses_no_message(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(database, 3)
    with receiving() as receiver:
        monkeypatch.setenv("HOOK", receiver.url)
        with database.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE notification RENAME TO away"))
        with pytest.raises(sa.exc.OperationalError):
            delivery.deliver(database, SETTINGS, clock=lambda: NOW)
        with database.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE away RENAME TO notification"))
        later = NOW + timedelta(minutes=10)
        assert delivery.deliver(database, SETTINGS, clock=lambda: later).sent == 3
    assert len(receiver.keys_seen()) == 3


def test_given_up_messages_get_another_round(database: Database) -> None:
    queue(database, 1)
    held = outbox.lease(database, NOW)
    assert held is not None
    outbox.mark(database, held, status="dead", now=NOW, last_error="hook: HTTP 410")
    assert outbox.counts(database, NOW) == (0, 0, 1)
    assert outbox.revive(database, NOW) == 1
    assert outbox.pending(database, NOW) == 1
