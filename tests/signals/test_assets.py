"""The group `signals`, run by Dagster over a range of days, with its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import dagster as dg
import pytest

from llmops_jobs.deployment import Deployment
from llmops_jobs.launch import materialize
from tests.facts import DAY
from tests.signals.world import call, land, land_scores, root, vote

DAYS = [DAY, DAY + timedelta(days=1)]
ASSETS = "outcomes,latency_daily,error_daily,feedback_daily,unit_cost_daily"


@pytest.fixture
def home(configured: Callable[..., Deployment]) -> Iterator[Deployment]:
    deployment = configured("signals: {histogram_error: 0.02}")
    for day in DAYS:
        failed = {"level": "ERROR", "status_message": "Error code: 429", "day": day}
        land(
            deployment,
            [
                root(f"a{day:%d}", day=day),
                call(f"a{day:%d}", at=0, **failed),
                call(f"a{day:%d}", at=2, day=day),
            ],
        )
    land_scores(deployment, [vote(f"a{DAY:%d}", day=DAYS[1])])
    yield deployment
    deployment.database.engine.dispose()


def test_the_group_runs_over_a_range_and_its_checks_pass(home: Deployment) -> None:
    with dg.instance_for_test() as instance:
        done = materialize(DAYS[0], DAYS[-1], instance=instance, select=ASSETS)
        assert done.success, done.error
        evaluations = instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), limit=20
        )
        found = {}
        for record in evaluations:
            event = record.event_log_entry.dagster_event
            assert event is not None
            found[event.asset_check_evaluation_data.check_name] = (
                event.asset_check_evaluation_data.passed
            )
        assert found == {
            "every_call_has_an_outcome": True,
            "every_latency_is_measured": True,
            "every_call_is_counted": True,
            "votes_add_up": True,
        }
        by_day = {
            record.partition_key: record.asset_materialization
            for record in instance.fetch_materializations(
                dg.AssetKey("error_daily"), limit=10
            ).records
        }
        assert set(by_day) == {day.isoformat() for day in DAYS}
        told = by_day[DAY.isoformat()]
        assert told is not None
        assert told.metadata["errors"].value == 1
        assert told.metadata["amplification"].value == 2.0
    feedback = home.database.table("feedback_daily")
    assert feedback["day"].tolist() == [DAY]
    gamma = home.database.table("latency_histogram")["gamma"].iloc[0]
    assert gamma == pytest.approx(1.02 / 0.98)
