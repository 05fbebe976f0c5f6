"""The watch over today's rows, through the stand-in, with a clock of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from llmops_jobs.alerts.evaluate import evaluate_day
from llmops_jobs.alerts.system import watch_missed
from llmops_jobs.alerts.watch.tick import Watcher
from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.demo.server.faults import Fault
from llmops_jobs.deployment import Deployment
from llmops_jobs.resources import DeploymentResource
from llmops_jobs.store import Database
from tests.alerts.traffic import usage
from tests.alerts.watching import cell, point, told
from tests.facts import DAY

PROJECT = "local-project"
NOON = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource(project_id=PROJECT)


@pytest.fixture
def server(
    source: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    with running(source) as opened:
        point(monkeypatch, tmp_path, opened)
        yield opened


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def _calls(begin: datetime, minutes: int, *, every: int = 1, **values: Any) -> list[dict[str, Any]]:
    """A call a minute of two seconds, of which each `every`th (0: none) failed."""
    rows = []
    for minute in range(minutes):
        at = begin + timedelta(minutes=minute)
        failed = every and minute % every == 0
        rows.append(
            {
                "id": f"o{at:%d%H%M}",
                "traceId": f"t{at:%d%H%M}",
                "type": "GENERATION",
                "name": "call",
                "traceName": "chat",
                "startTime": _wire(at),
                "endTime": _wire(at + timedelta(seconds=2)),
                "model": "gpt-4o-mini",
                "metadata": {"gen_ai.system": "openai"},
                "level": "ERROR" if failed else "DEFAULT",
                "statusMessage": "Error code: 429 - Rate limit reached" if failed else "",
                "usageDetails": {"input": 100, "output": 20},
                **values,
            }
        )
    return rows


def _wire(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _usual(database: Database, cells: list[dict[str, Any]] | None = None, days: int = 10) -> None:
    """Days before with 2 % of failed calls."""
    for ago in range(1, days + 1):
        usage(database, DAY - timedelta(days=ago), cells or [cell()], project=PROJECT)


def test_a_storm_is_told_within_minutes_and_its_end_within_the_hour(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON - timedelta(hours=6), 360, every=50))
    source.add(_calls(NOON, 60, every=2))
    source.add(_calls(NOON + timedelta(hours=1), 120, every=50))
    seen = []
    for minute in range(0, 180, 5):
        now = NOON + timedelta(minutes=minute)
        watcher.tick(home, now)
        seen += [(minute, kind) for kind, _ in told(home.database)[len(seen) :]]
    assert [kind for _, kind in seen] == ["open", "resolve"]
    assert 0 < seen[0][0] <= 15
    assert 60 < seen[1][0] <= 125
    _, summary = told(home.database)[0]
    assert "mostly rate limit" in summary


def test_a_message_of_the_watch_links_to_failed_calls_and_names_the_slice(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON, 30, every=2))
    source.add(_calls(NOON + timedelta(seconds=20), 30, every=0, model="o3", id="", traceId=""))
    watcher.tick(home, NOON + timedelta(minutes=30))
    payload = json.loads(home.database.table("notification")["payload"].iloc[0])
    assert payload["severity"] == "critical"  # the whole is part of it
    assert all(f"/project/{PROJECT}/traces/t0412" in link for link in payload["traces"])
    assert len(payload["traces"]) == 3


def test_a_look_reads_only_what_is_new_and_the_minutes_before_it(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    source.add(_calls(NOON - timedelta(hours=12), 720, every=0))
    first = watcher.tick(home, NOON)["default"]
    assert first.startswith("720 calls since 00:00")
    client = watcher.kept[PROJECT].live._api.client
    before = client.traffic.requests
    source.add(_calls(NOON, 5, every=0))
    # A row that came late, of a minute that was read already.
    source.add(_calls(NOON - timedelta(minutes=7, seconds=30), 1, every=0, id="late", traceId="l"))
    assert watcher.tick(home, NOON + timedelta(minutes=5))["default"].startswith("726 calls")
    assert client.traffic.requests - before == 1


def test_requests_per_look_are_bounded_and_what_was_not_read_is_not_silence(
    source: MemorySource, server: Running, tmp_path: Path
) -> None:
    (tmp_path / "llmops.yaml").write_text("alerts: {watch: {requests: 2}}\n")
    home = Deployment.from_environment()
    watcher = Watcher()
    source.add(_calls(NOON - timedelta(hours=12), 720, every=0))
    said = watcher.tick(home, NOON)["default"]
    assert watcher.kept[PROJECT].live._api.client.traffic.requests == 2
    assert "since 10:00" in said  # forty minutes, then eighty
    watcher.close()


def test_a_server_that_asks_for_patience_is_not_waited_for_and_nothing_is_lost(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON - timedelta(minutes=40), 40, every=2))
    server.state.faults.set([Fault("rate_limited", last=1, seconds=90)])
    said = watcher.tick(home, NOON)
    assert said["default"].startswith("not looked at: ")
    assert told(home.database) == []
    watcher.close()  # its budget is closed for the 90 seconds: a new process begins anew
    watcher.tick(home, NOON + timedelta(minutes=5))
    assert [kind for kind, _ in told(home.database)] == ["open"]


def test_the_night_confirms_what_the_watch_told_and_tells_nobody_again(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON + timedelta(hours=11), 60, every=2))
    watcher.tick(home, NOON + timedelta(hours=11, minutes=59))
    usage(home.database, DAY, [cell(errors=300)], project=PROJECT)
    for _ in range(2):
        now = NOON + timedelta(hours=13, minutes=30)
        evaluate_day(home.database, home.settings.alerts, PROJECT, DAY, now=now)
    (row,) = home.database.table("incident").to_dict("records")
    assert (row["state"], row["first_day"], row["last_day"]) == ("open", DAY, DAY)
    assert [kind for kind, _ in told(home.database)] == ["open"]
    # From here on it is the night's: the next one ends it.
    tomorrow = DAY + timedelta(days=1)
    usage(home.database, tomorrow, [cell()], project=PROJECT)
    now = NOON + timedelta(hours=38)
    evaluate_day(home.database, home.settings.alerts, PROJECT, tomorrow, now=now)
    assert [kind for kind, _ in told(home.database)] == ["open", "resolve"]


def test_a_night_does_not_end_what_has_begun_just_before_midnight(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON + timedelta(hours=11, minutes=30), 120, every=2))
    watcher.tick(home, NOON + timedelta(hours=11, minutes=50))
    usage(home.database, DAY, [cell(errors=25)], project=PROJECT)  # the whole day looks well
    now = NOON + timedelta(hours=13, minutes=20)
    evaluate_day(home.database, home.settings.alerts, PROJECT, DAY, now=now)
    watcher.tick(home, now)
    assert [kind for kind, _ in told(home.database)] == ["open"]
    watcher.tick(home, now + timedelta(hours=2))  # and no call since: nothing says that it is over
    assert home.database.table("incident")["state"].tolist() == ["open"]
    source.add(_calls(now + timedelta(hours=2), 60, every=0))
    watcher.tick(home, now + timedelta(hours=3))
    assert [kind for kind, _ in told(home.database)] == ["open", "resolve"]


def test_what_was_over_by_the_night_is_not_opened_by_it_again(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON, 60, every=2))
    source.add(_calls(NOON + timedelta(hours=1), 90, every=0))
    watcher.tick(home, NOON + timedelta(minutes=40))
    watcher.tick(home, NOON + timedelta(hours=2, minutes=20))
    # The night sees it best under another name.
    usage(home.database, DAY, [cell(errors=300)], project=PROJECT)
    now = NOON + timedelta(hours=14)
    evaluate_day(home.database, home.settings.alerts, PROJECT, DAY, now=now)
    assert [kind for kind, _ in told(home.database)] == ["open", "resolve"]


def test_an_incident_of_a_night_is_not_told_again_by_the_watch(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    yesterday = DAY - timedelta(days=1)
    usage(home.database, yesterday, [cell(errors=300)], project=PROJECT)
    now = NOON - timedelta(hours=10)
    evaluate_day(home.database, home.settings.alerts, PROJECT, yesterday, now=now)
    source.add(_calls(NOON - timedelta(hours=1), 60, every=2))
    watcher.tick(home, NOON)
    watcher.tick(home, NOON + timedelta(hours=3))
    assert [kind for kind, _ in told(home.database)] == ["open"]
    assert home.database.table("incident")["state"].tolist() == ["open"]


def test_two_watches_at_once_open_one_incident(source: MemorySource, server: Running) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON - timedelta(minutes=40), 40, every=2))
    watchers = [Watcher() for _ in range(3)]
    threads = [
        threading.Thread(target=one.tick, args=(Deployment.from_environment(), NOON))
        for one in watchers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in watchers:
        one.close()
    assert len(home.database.table("incident")) == 1
    assert [kind for kind, _ in told(home.database)] == ["open"]


def test_an_objective_burns_within_the_hour_by_googles_paging_rows(
    source: MemorySource, server: Running, watcher: Watcher, tmp_path: Path
) -> None:
    (tmp_path / "llmops.yaml").write_text(
        "alerts:\n  built_in: false\n  slos:\n"
        "    - {name: answers, metric: error_rate, objective: 0.99}\n"
        "    - {name: fast, metric: latency, within: 1.5, objective: 0.5}\n"
    )
    home = Deployment.from_environment()
    source.add(_calls(NOON, 60))
    watcher.tick(home, NOON + timedelta(minutes=59))
    ((kind, summary),) = told(home.database)
    assert kind == "open"
    assert "burns 100.0 times as fast as its budget in the last hour" in summary


def test_money_that_goes_too_fast_is_told_by_its_budget(
    source: MemorySource, server: Running, watcher: Watcher, tmp_path: Path
) -> None:
    (tmp_path / "llmops.yaml").write_text(
        "budgets: [{name: all, amount: 300, period: month}]\n"  # 42 cents an hour
    )
    home = Deployment.from_environment()
    dear = {"usageDetails": {"input": 1_000_000, "output": 0}}  # 15 cents a call
    source.add(_calls(NOON, 60, every=0, **dear))
    watcher.tick(home, NOON + timedelta(minutes=59))
    ((kind, summary),) = told(home.database)
    assert kind == "open"
    assert summary == "Budget all of $300 a month: $8.85 in the last hour, 22 times its pace"


def test_a_day_that_nobody_looks_at_is_an_incident(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    settings = home.settings.alerts
    late = NOON + timedelta(hours=3)
    assert watch_missed(home.database, settings, [PROJECT], now=late) == {}  # never begun
    watcher.tick(home, NOON)
    server.state.faults.set([Fault("unauthorized")])
    assert watcher.tick(home, late)["default"].startswith("not looked at: ")
    for expected in ({PROJECT: "open"}, {}):
        assert watch_missed(home.database, settings, [PROJECT], now=late) == expected
    server.state.faults.clear()
    watcher.tick(home, late)
    assert watch_missed(home.database, settings, [PROJECT], now=late) == {PROJECT: "resolve"}


def test_a_clock_that_goes_back_opens_and_ends_nothing(
    source: MemorySource, server: Running, watcher: Watcher
) -> None:
    home = Deployment.from_environment()
    _usual(home.database)
    source.add(_calls(NOON, 30, every=2))
    for now in (NOON + timedelta(minutes=30), NOON - timedelta(hours=1), NOON - timedelta(days=2)):
        watcher.tick(home, now)
    assert [kind for kind, _ in told(home.database)] == ["open"]
    watcher.tick(home, NOON + timedelta(minutes=35))
    assert [kind for kind, _ in told(home.database)] == ["open"]


def test_the_sensor_says_what_it_saw(
    source: MemorySource, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmops_jobs import sensors

    monkeypatch.setattr(sensors, "_watcher", None)
    source.add(_calls(datetime.now(UTC) - timedelta(minutes=3), 1, every=0))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        said = sensors.watch_today(context, deployment=DeploymentResource())
    assert "default: 1 calls since " in str(said.skip_message)
    assert "0 firing" in str(said.skip_message)
    sensors._watcher.close()
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        said = sensors.watch_today(context, deployment=DeploymentResource())
    assert str(said.skip_message).startswith("not watched: project default: set LANGFUSE_SECRET")
