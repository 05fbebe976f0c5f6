"""The database's server is stopped for ten minutes: ticks say so, nothing is lost or told twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from llmops_jobs import jobs, sensors
from llmops_jobs.alerts import delivery, outbox
from llmops_jobs.alerts.delivery import deliver
from llmops_jobs.alerts.settings import AlertSettings, Channel
from llmops_jobs.alerts.watch.tick import Watcher
from llmops_jobs.cli import main
from llmops_jobs.demo.server import MemorySource, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import UserError
from llmops_jobs.resources import DeploymentResource
from llmops_jobs.store import Database
from tests.alerts.kills import HOOK, NOW, queue
from tests.alerts.receiver import Receiver, receiving
from tests.alerts.traffic import usage
from tests.alerts.watching import at, cell, point, told
from tests.postgres import Server, available, server

CONFIG = """
alerts:
  channels: [{name: hook, kind: webhook, url_env: HOOK, allow_private: true}]
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A server of its own: the others' must not be stopped."""
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with server() as running_server:
        yield running_server


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as opened:
        monkeypatch.setenv("HOOK", opened.url)
        yield opened


def _made(postgres: Server, name: str) -> Database:
    admin = sa.create_engine(postgres.url("postgres"))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    made = Database(postgres.url(name))
    made.create()
    return made


def _failed_calls(until: datetime) -> list[dict[str, Any]]:
    """Two a minute for half an hour, of which every second failed."""
    begin = until - timedelta(minutes=30)
    return [
        {
            "id": f"o{number}",
            "traceId": f"t{number}",
            "type": "GENERATION",
            "name": "call",
            "traceName": "chat",
            "startTime": (begin + timedelta(seconds=30 * number)).isoformat(),
            "endTime": (begin + timedelta(seconds=30 * number + 2)).isoformat(),
            "model": "gpt-4o-mini",
            "metadata": {"gen_ai.system": "openai"},
            "level": "DEFAULT" if number % 2 else "ERROR",
            "statusMessage": "" if number % 2 else "Error code: 503 - overloaded",
            "usageDetails": {"input": 100, "output": 20},
        }
        for number in range(60)
    ]


def test_every_tick_says_that_the_database_is_gone_and_tells_everything_once_afterwards(
    postgres: Server,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database, now = _made(postgres, "ticks"), datetime.now(UTC)
    (tmp_path / "llmops.yaml").write_text(CONFIG)
    monkeypatch.setattr(sensors, "_watcher", None)
    source = MemorySource(project_id="p")
    source.add(_failed_calls(now))
    for ago in range(1, 11):
        usage(database, now.date() - timedelta(days=ago), [cell(feature="chat")], project="p")
    queued = queue(database, 3)

    def tick(sensor: Callable[..., Any], cursor: str = "") -> Any:
        context = dg.build_sensor_context(instance=instance, cursor=cursor or now.isoformat())
        return sensor(context, deployment=resource)

    def delivered() -> bool:
        return jobs.delivery.execute_in_process(
            instance=instance, resources={"deployment": resource}, raise_on_error=False
        ).success

    resource = DeploymentResource()
    with running(source) as langfuse, dg.DagsterInstance.ephemeral() as instance:
        point(monkeypatch, tmp_path, langfuse, database)
        tick(sensors.watch_today)
        assert [kind for kind, _ in told(database)].count("open") == 4
        postgres.stop()
        assert not delivered()  # a run that fails, and is itself to be told of
        gone = r"the database postgres.*/ticks cannot be reached \(.*refused"
        for sensor in (
            *(sensors.watch_today, sensors.deliver_alerts),
            *(sensors.failed_runs, sensors.heartbeat),
        ):
            with pytest.raises(UserError, match=gone):
                tick(sensor)
        with pytest.raises(SystemExit, match="1"):
            main(["alerts", "list"])
        assert re.search(gone, capsys.readouterr().err)
        assert receiver.bodies == []
        postgres.start()
        # The tick that failed has not moved its cursor: the run that failed is still told of.
        ended = tick(sensors.failed_runs)
        for _ in range(2):
            tick(sensors.watch_today)
            tick(sensors.deliver_alerts)
            assert delivered()
            ended = tick(sensors.failed_runs, ended.cursor)
        assert delivered()
        sensors._watcher.close()
    database.engine.dispose()
    keys = [body["event_key"] for body in receiver.bodies]
    assert len(keys) == len(set(keys))
    assert queued < set(keys)
    assert [
        (body["rule"], body["kind"]) for body in receiver.bodies if body["event_key"] not in queued
    ] == [("error-rate-by-day", "open"), ("failed-run", "open"), ("failed-run", "resolve")]


def test_a_fault_that_begins_while_it_is_gone_is_told_ten_minutes_later(
    postgres: Server, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, now = _made(postgres, "watched"), NOW + timedelta(hours=10)
    (tmp_path / "llmops.yaml").write_text(CONFIG)
    source = MemorySource(project_id="p")
    source.add(_failed_calls(now))
    for ago in range(1, 11):
        usage(database, now.date() - timedelta(days=ago), [cell(feature="chat")], project="p")
    watcher = Watcher()
    with running(source) as langfuse:
        point(monkeypatch, tmp_path, langfuse, database)
        watcher.tick(Deployment.from_environment(), now - timedelta(minutes=30))
        postgres.stop()
        for minute in (0, 5):
            with pytest.raises(UserError, match="cannot be reached"):
                watcher.tick(Deployment.from_environment(), now + timedelta(minutes=minute))
        postgres.start()
        for minute in (10, 15):
            clock = now + timedelta(minutes=minute)
            home = Deployment.from_environment()
            watcher.tick(home, clock)
            deliver(home.database, home.settings.alerts, clock=at(clock))
            home.database.engine.dispose()
        watcher.close()
    assert [body["kind"] for body in receiver.bodies] == ["open"]
    database.engine.dispose()


def test_a_message_that_was_sent_as_the_database_went_comes_again_with_its_key(
    postgres: Server, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = _made(postgres, "sent")
    queued, send = queue(database, 3), delivery.send

    def sent(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
        send(channel, key, message, now)
        if len(receiver.bodies) == 2:
            postgres.stop()

    monkeypatch.setattr(delivery, "send", sent)
    settings = AlertSettings(channels=(HOOK,))
    with pytest.raises(sa.exc.OperationalError):
        deliver(database, settings, clock=lambda: NOW)
    for minute in (2, 5):
        with pytest.raises(sa.exc.OperationalError):
            deliver(database, settings, clock=at(NOW + timedelta(minutes=minute)))
    postgres.start()
    assert deliver(database, settings, clock=lambda: NOW + timedelta(minutes=10)).sent == 2
    assert outbox.counts(database, NOW + timedelta(minutes=10)) == (0, 0, 0)
    keys = [body["event_key"] for body in receiver.bodies]
    assert keys[1] == keys[2]  # for the receiver that keeps keys, once
    assert sorted(set(keys)) == sorted(queued)
    database.engine.dispose()
