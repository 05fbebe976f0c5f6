"""Late, changed and deleted rows of days that were pulled: their days are found, and only they."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.days import today
from llmops_jobs.demo.server import MemorySource
from llmops_jobs.langfuse.late import mark_stale, ranges, stale_days, sweep, sweep_scores
from llmops_jobs.langfuse.pull import pull_observations, pull_scores
from llmops_jobs.langfuse.reach import out_of_reach, reach_days
from llmops_jobs.langfuse.reconcile import reconcile
from llmops_jobs.langfuse.settings import IngestSettings
from tests.langfuse.wire_rows import observation, score, standing

TODAY = today()
DAYS = [TODAY - timedelta(days=back) for back in range(7, 1, -1)]
NIGHT = TODAY - timedelta(days=1)


def at(day: date, number: int = 0, **values: Any) -> dict[str, Any]:
    """One observation of a day, ended and written a second after its start."""
    time = f"{day}T{10 + number % 12:02}:00"
    return observation(
        number,
        id=f"{day}-{number}",
        traceId=f"{day}-t{number}",
        startTime=f"{time}:00.000Z",
        endTime=f"{time}:01.000Z",
        createdAt=f"{time}:09.000Z",
        updatedAt=f"{time}:09.000Z",
    ) | dict(values)


@pytest.fixture
def source() -> MemorySource:
    return MemorySource(
        [at(day, n) for day in DAYS for n in range(5)],
        [
            score(n, id=f"{day}-{n}", timestamp=f"{day}T11:00:00.000Z")
            for day in DAYS
            for n in (1, 2)
        ],
    )


@pytest.fixture
def night(source: MemorySource, tmp_path: Path) -> Iterator[Any]:
    with standing(source, tmp_path) as (deployment, project, server):
        for done in (pull_observations, pull_scores, reconcile):
            assert len(list(done(deployment, project, DAYS))) == len(DAYS)
        yield deployment, project, server


def test_a_copy_that_is_whole_has_no_stale_day(night: Any) -> None:
    deployment, project, _ = night
    assert sweep(deployment, project, NIGHT).stale == {}
    assert sweep_scores(deployment, project, NIGHT).stale == {}
    assert stale_days(deployment.database) == []


def test_a_long_span_makes_the_day_of_its_start_stale_and_no_other(
    night: Any, source: MemorySource
) -> None:
    deployment, project, _ = night
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    source.add([at(DAYS[2], 9, endTime=now, createdAt=now, updatedAt=now)])
    swept = sweep(deployment, project, NIGHT)
    assert swept.stale == {DAYS[2]: "1 observations came or changed after the pull"}
    assert stale_days(deployment.database, project.id) == [DAYS[2]]
    list(pull_observations(deployment, project, [DAYS[2]]))
    assert stale_days(deployment.database) == []
    assert deployment.lake.read_day("observations", project.id, DAYS[2]).num_rows == 6
    list(reconcile(deployment, project, [DAYS[2]]))
    assert sweep(deployment, project, NIGHT).stale == {}


def test_a_row_that_was_sent_late_with_an_old_end_is_found_by_the_count(
    night: Any, source: MemorySource
) -> None:
    deployment, project, _ = night
    source.add([at(DAYS[4], 9)])
    assert sweep(deployment, project, NIGHT).stale == {
        DAYS[4]: "the source counts 6 rows, it was 5"
    }


def test_deleted_rows_are_found_by_the_count_and_gone_after_the_pull(
    night: Any, source: MemorySource
) -> None:
    deployment, project, _ = night
    source.remove(*(f"{DAYS[1]}-{n}" for n in range(5)))
    assert list(sweep(deployment, project, NIGHT).stale) == [DAYS[1]]
    (done,) = pull_observations(deployment, project, [DAYS[1]])
    assert done.rows == 0
    assert deployment.lake.read_day("observations", project.id, DAYS[1]).num_rows == 0


def test_days_that_were_never_pulled_are_left_to_a_backfill(
    night: Any, source: MemorySource
) -> None:
    deployment, project, _ = night
    old = DAYS[0] - timedelta(days=3)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    source.add([at(old, 1, endTime=now)])
    assert sweep(deployment, project, NIGHT).stale == {}


def test_feedback_that_came_later_makes_its_own_day_stale(night: Any, source: MemorySource) -> None:
    deployment, project, _ = night
    source.add([], [score(7, id="new", timestamp=f"{DAYS[-1]}T13:00:00.000Z")])
    source.scores[2 * (len(DAYS) - 2)]["value"] = False
    source.changed()
    assert sorted(sweep_scores(deployment, project, NIGHT).stale) == [DAYS[-2], DAYS[-1]]
    list(pull_scores(deployment, project, DAYS[-2:]))
    assert sweep_scores(deployment, project, NIGHT).stale == {}


def test_a_day_below_the_retention_keeps_what_is_held_and_takes_what_is_new(
    source: MemorySource, tmp_path: Path
) -> None:
    with standing(source, tmp_path, access_days=5) as (deployment, project, _):
        old, young = TODAY - timedelta(days=6), TODAY - timedelta(days=3)
        list(pull_observations(deployment, project, [old, young]))
        source.remove(*(f"{day}-{n}" for day in (old, young) for n in range(4)))
        source.add([at(old, 9)])
        done = list(pull_observations(deployment, project, [old, young]))
        rows = [deployment.lake.read_day("observations", project.id, d) for d in (old, young)]
        assert [table.num_rows for table in rows] == [6, 1]
        assert [one.kept for one in done] == [5, 0]
        (compared, _) = reconcile(deployment, project, [old, young])
        assert compared.row["status"] == "out_of_reach"
        assert "our copy stays" in compared.row["detail"]


def test_a_metrics_api_that_refuses_or_may_be_cut_costs_no_night(
    night: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment, project, server = night
    server.state.faults.set([{"kind": "forbidden", "path": "/api/public/v2/metrics"}])
    (compared,) = reconcile(deployment, project, DAYS[:1])
    assert compared.row["status"] == "not_checked"
    assert "does not let these keys read /api/public/v2/metrics" in compared.row["detail"]
    assert compared.row["rows_here"] == 5
    server.state.faults.clear()
    monkeypatch.setattr("llmops_jobs.langfuse.reconcile._ROW_LIMIT", 1)
    (compared,) = reconcile(deployment, project, DAYS[:1])
    assert compared.row["status"] == "truncated"
    assert deployment.database.table("reconciliation", project.id, DAYS[0], DAYS[0])[
        "status"
    ].tolist() == ["truncated"]


def test_a_project_named_in_the_file_is_asked_for_its_retention_daily_and_checked(
    night: Any, tmp_path: Path
) -> None:
    from dataclasses import replace

    from llmops_jobs.errors import SourceError
    from llmops_jobs.langfuse.project import informed
    from tests.langfuse.wire_rows import deployed

    server = night[2]
    deployment, keys = deployed(server, tmp_path / "other")
    assert informed(keys, deployment.database).organization
    asked = len(server.state.requests)
    row = deployment.database.table("project")
    row["retention_days"] = 14
    deployment.database.upsert("project", row.astype(object))
    assert informed(keys, deployment.database).retention_days == 14
    assert len(server.state.requests) == asked
    row["seen_at"] = datetime.now(UTC) - timedelta(days=2)
    deployment.database.upsert("project", row.astype(object))
    assert informed(keys, deployment.database).retention_days is None
    with pytest.raises(SourceError, match=r"belong to local-project, .* its id is elsewhere"):
        informed(replace(keys, id="elsewhere"), deployment.database)


def test_the_reach_is_the_shorter_of_retention_and_plan(night: Any) -> None:
    from dataclasses import replace

    project = night[1]
    settings = IngestSettings(access_days=90)
    assert reach_days(IngestSettings(), project) is None
    assert reach_days(settings, replace(project, retention_days=14)) == 14
    cloud = replace(project, base_url="https://cloud.langfuse.com")
    assert reach_days(IngestSettings(), cloud) == 30
    assert reach_days(settings, cloud) == 90
    assert out_of_reach(IngestSettings(), cloud, TODAY - timedelta(days=30), TODAY)
    assert not out_of_reach(IngestSettings(), cloud, TODAY - timedelta(days=29), TODAY)


def test_neighbouring_days_are_one_run_and_distant_ones_are_not() -> None:
    a, b, c = (date(2026, 3, day) for day in (4, 5, 9))
    assert ranges([c, b, a]) == [(a, b), (c, c)]
    assert ranges([]) == []


def test_the_sensor_requests_runs_over_exactly_the_stale_days(
    night: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import dagster as dg

    from llmops_jobs.definitions import defs
    from llmops_jobs.resources import DeploymentResource
    from llmops_jobs.schedules import END_TAG, START_TAG
    from llmops_jobs.sensors import stale_days_sensor

    deployment, project, _ = night
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    context = dg.build_sensor_context(
        resources={"deployment": DeploymentResource()}, repository_def=defs.get_repository_def()
    )

    def asked() -> list[dg.RunRequest]:
        result = stale_days_sensor(context)
        return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []

    assert asked() == []
    mark_stale(deployment.database, project.id, "observations", [DAYS[0], DAYS[1], DAYS[5]])
    mark_stale(deployment.database, project.id, "scores", [DAYS[3], DAYS[5]])
    runs = [(DAYS[0], DAYS[1]), (DAYS[3], DAYS[3]), (DAYS[5], DAYS[5])]
    requests = asked()
    assert [(r.tags[START_TAG], r.tags[END_TAG]) for r in requests] == [
        (first.isoformat(), last.isoformat()) for first, last in runs
    ]
    whole, scores_only, both = (r.asset_selection for r in requests)
    assert whole is None and both is None
    below = {key.to_user_string() for key in scores_only or []}
    assert {"scores", "feedback_daily", "quality_daily", "report"} <= below
    assert not {"observations", "costs", "usage_daily", "latency_daily"} & below
    # The same days again once they were pulled and became stale anew: another run.
    list(pull_observations(deployment, project, DAYS[:2]))
    mark_stale(deployment.database, project.id, "observations", DAYS[:2])
    assert asked()[0].run_key != requests[0].run_key
    assert asked()[1].run_key == requests[1].run_key
