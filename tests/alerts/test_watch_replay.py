"""The marked faults of the demo's traffic, looked at every five minutes through the stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from llmops_jobs.alerts.delivery import deliver
from llmops_jobs.alerts.watch.tick import Watcher
from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.server import running
from llmops_jobs.deployment import Deployment
from llmops_jobs.store import Database
from tests.alerts.traffic import usage
from tests.alerts.watching import at, cell, point, told


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay(seed=1, days=60, end=date(2026, 11, 23))


def _midnight(replay: Replay, event: str) -> datetime:
    """That of the day of a marked event."""
    first = next(each.first_day for each in replay.events() if each.id == event)
    return datetime.fromisoformat(first).replace(tzinfo=UTC)


def _looked(
    home: Deployment,
    watcher: Watcher,
    usual: Sequence[dict[str, Any]],
    looks: Sequence[datetime],
    project: str,
) -> dict[datetime, tuple[str, str]]:
    """Look -> the message that it gave rise to, after ten `usual` days."""
    for ago in range(1, 11):
        usage(home.database, looks[-1].date() - timedelta(days=ago), usual, project=project)
    found: dict[datetime, tuple[str, str]] = {}
    for now in looks:
        watcher.tick(home, now)
        deliver(home.database, home.settings.alerts, clock=at(now))
        for message in told(home.database)[len(found) :]:
            found[now] = message
    assert len(home.database.table("incident")) == 1
    assert set(home.database.table("notification")["status"]) == {"sent"}
    return found


def _every_five_minutes(begin: datetime, end: datetime) -> list[datetime]:
    return pd.date_range(begin, end, freq="5min").to_pydatetime().tolist()


@pytest.mark.parametrize(
    ("event", "provider", "begins", "words"),
    [
        ("retry-storm", "openai", timedelta(hours=13), "mostly rate limit"),
        ("outage", "gcp.gemini", timedelta(hours=9, minutes=20), "mostly provider 5xx"),
    ],
)
def test_faults_are_told_within_fifteen_minutes(
    event: str,
    provider: str,
    begins: timedelta,
    words: str,
    replay: Replay,
    any_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = _midnight(replay, event) + begins
    usual = [cell(provider=name, errors=25, model=name) for name in ("openai", "gcp.gemini")]
    looks = _every_five_minutes(start - timedelta(minutes=30), start + timedelta(minutes=15))
    with running(replay) as server:
        point(monkeypatch, tmp_path, server, any_database)
        watcher, home = Watcher(), Deployment.from_environment()
        found = _looked(home, watcher, usual, looks, replay.project_id)
        watcher.close()
    home.database.engine.dispose()
    kind, summary = found[min(found)]
    assert kind == "open"
    assert {kind for kind, _ in found.values()} <= {"open", "escalate"}
    assert min(found) > start
    assert f"provider {provider}" in summary
    assert words in summary


def test_a_runaway_agent_is_told_when_an_hour_has_cost_more_than_a_usual_day(
    replay: Replay, any_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loops from midnight on, a trace of some forty calls at a time."""
    midnight, a_day = _midnight(replay, "spend-spike"), 0.6
    agents, chat = {"feature": "agent-tools"}, {"feature": "chat", "requests": 3000, "errors": 60}
    usual = [
        cell(**agents, tenant="umbrella", requests=160, errors=4, cost_usd=Decimal(str(a_day))),
        cell(**agents, tenant="acme", cost_usd=Decimal(5)),
        cell(**chat, tenant="acme", cost_usd=Decimal(4)),
    ]
    looks = _every_five_minutes(midnight - timedelta(minutes=30), midnight + timedelta(hours=3))
    with running(replay) as server:
        point(monkeypatch, tmp_path, server, any_database)
        watcher, home = Watcher(), Deployment.from_environment()
        found = _looked(home, watcher, usual, looks, replay.project_id)
        calls = watcher.kept[replay.project_id].live.read(looks[-1]).calls
        watcher.close()
    home.database.engine.dispose()
    calls = calls[calls["tenant"] == "umbrella"].set_index("ended").sort_index()
    hour = calls["cost_usd"].rolling("1h")
    enough = calls.index[(hour.sum() > a_day) & (hour.count() >= 50)][0].to_pydatetime()
    ((at, (kind, summary)),) = found.items()
    assert kind == "open"
    assert summary.startswith("tenant umbrella: spend $")
    assert timedelta(0) <= at - enough <= timedelta(minutes=15)
    assert at - midnight <= timedelta(minutes=75)
