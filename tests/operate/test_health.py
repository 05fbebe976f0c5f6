"""The pipeline says of itself what is wrong with it: on the asset, its checks, and in a row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from llmops_jobs import health
from llmops_jobs.days import yesterday
from llmops_jobs.definitions import defs
from llmops_jobs.deployment import Deployment
from llmops_jobs.launch import materialize, open_instance
from llmops_jobs.metrics import Gauge
from llmops_jobs.schedules import END_TAG, START_TAG
from tests.facts import PROJECT

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def pull(day: date, rows: int, **more: object) -> dict[str, object]:
    row = {
        "project_id": PROJECT, "source": "observations", "day": day, "rows": rows, "pages": 1,
        "bytes": 100, "seconds": 0.5, "content_hash": "x", "stale": False,
        "first_pulled_at": datetime.now(UTC), "pulled_at": datetime.now(UTC),
    }  # fmt: skip
    return {**row, **more}


@pytest.fixture
def home(configured: Callable[..., Deployment]) -> Deployment:
    """Yesterday was not pulled, the day before is stale, and three rows are unexplained."""
    opened = configured()
    days = [yesterday() - timedelta(days=back) for back in (2, 1)]
    pulls = [pull(days[0], 10), pull(days[1], 20, stale=True)]
    opened.database.upsert("pull", pd.DataFrame(pulls))
    row = {"project_id": PROJECT, "day": days[1], "unexplained": -3, "rows_here": 17}
    opened.database.upsert("reconciliation", pd.DataFrame([row]))
    return opened


def test_what_is_wrong_is_said_part_by_part(home: Deployment) -> None:
    found = health.standing(home, datetime.now(UTC))
    assert list(found) == ["copy", "messages", "parts", "disk"]
    late, stale, unexplained = found["copy"]
    assert "observations end 1 days before yesterday's end" in late
    assert "1 days of observations are known to be stale" in stale
    assert "differ by 3 rows" in unexplained
    assert found["messages"] == found["parts"] == []


def test_dead_messages_silent_parts_and_a_full_disk_are_problems() -> None:
    messages = Gauge("llmops_messages", "")
    messages.set(9, state="due")
    messages.set(2, state="dead")
    beats = Gauge("llmops_heartbeat_age_seconds", "")
    beats.set(31 * 3600, part="alerts")
    beats.set(29 * 3600, part="watch")
    disk = Gauge("llmops_lake_disk_used_ratio", "")
    disk.set(0.95)
    found = health.problems([messages, beats, disk])
    assert found["messages"] == ["2 messages were given up (llmops alerts list --dead)"]
    assert found["parts"] == ["alerts was last alive 31 hours ago"]
    assert found["disk"] == ["the lake's file system is 95% full"]


def test_the_asset_shows_each_days_figures_and_its_checks_warn(home: Deployment) -> None:
    days = [yesterday() - timedelta(days=back) for back in (2, 1)]
    with open_instance(Path("home")) as instance:
        outcome = materialize(*days, instance=instance, select="health")
        assert outcome.success, outcome.error  # a warning stops nothing
        events = instance.fetch_materializations(dg.AssetKey("health"), limit=10).records
        shown = {
            event.partition_key: event.asset_materialization.metadata
            for event in events
            if event.asset_materialization is not None
        }
        assert [shown[str(day)]["pulled rows"].value for day in days] == [10, 20]
        assert shown[str(days[1])]["problems of copy"].value == 3
        checks = [dg.AssetCheckKey(dg.AssetKey("health"), name) for name in (*health.PARTS, "pace")]
        summaries = instance.event_log_storage.get_asset_check_summary_records(checks)
    told = {
        key.name: record.last_check_execution_record.event.asset_check_evaluation
        for key, record in summaries.items()
    }
    assert {name for name, each in told.items() if not each.passed} == {"copy"}
    assert told["copy"].severity == dg.AssetCheckSeverity.WARN
    assert "known to be stale" in told["copy"].description
    beats = home.database.table("heartbeat").set_index("name")
    assert beats.loc["health", "detail"] == "not well: copy"


def test_a_night_that_takes_twice_the_usual_is_slow(tmp_path: Path) -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job(name="nightly")
    def night() -> None:
        nothing()

    tags = {START_TAG: "2026-03-01", END_TAG: "2026-03-03"}
    with open_instance(tmp_path) as instance:
        runs = [
            night.execute_in_process(instance=instance, tags=tags, run_config=QUIET).run_id
            for _ in range(4)
        ]
        other = night.execute_in_process(
            instance=instance, tags={**tags, END_TAG: "2026-03-09"}, run_config=QUIET
        ).run_id
        soon, late = (datetime.now(UTC) + timedelta(seconds=s) for s in (0, 3600))
        assert health.slowness(instance, runs[0], soon - timedelta(seconds=60)) == ""
        assert "the usual is" in health.slowness(instance, runs[-1], late)
        assert health.slowness(instance, other, late) == ""  # nothing to compare it with


def test_the_health_comes_last_in_the_nightly_job() -> None:
    graph = defs.resolve_asset_graph()
    assert graph.get(dg.AssetKey("health")).child_keys == set()
    assert dg.AssetKey("report") in graph.get(dg.AssetKey("health")).parent_keys
