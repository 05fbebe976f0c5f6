"""The ingest group through Dagster: a range in one run, and checks that stop a broken day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.compute as pc
import pytest

from llmops_jobs.definitions import build_defs
from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.schedules import END_TAG, START_TAG
from tests.langfuse.wire_rows import DAY, observation, score

FIRST, LAST = DAY - timedelta(days=1), DAY


@pytest.fixture
def source() -> MemorySource:
    return MemorySource([observation(n * 600) for n in range(40)], [score(n) for n in range(5)])


@pytest.fixture
def server(
    source: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    with running(source) as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
        monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
        yield started


def run(
    select: str = "group:ingest", tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    job = build_defs().resolve_job_def("nightly")
    wanted = dg.AssetSelection.from_string(select).resolve(build_defs().resolve_asset_graph())
    return job.execute_in_process(
        asset_selection=list(wanted),
        tags={START_TAG: FIRST.isoformat(), END_TAG: LAST.isoformat(), **(tags or {})},
        raise_on_error=False,
        instance=dg.DagsterInstance.ephemeral(),
    )


def test_a_range_is_copied_in_one_run_with_figures_of_each_day(server: Running) -> None:
    result = run()
    assert result.success
    by_asset: dict[str, dict[str, dict[str, Any]]] = {}
    for event in result.get_asset_materialization_events():
        done = event.step_materialization_data.materialization
        figures = {name: value.value for name, value in done.metadata.items()}
        by_asset.setdefault(done.asset_key.to_user_string(), {})[str(done.partition)] = figures
    assert set(by_asset) == {"observations", "scores", "observation_text", "reconciliation"}
    for asset, days in by_asset.items():
        assert set(days) == {FIRST.isoformat(), LAST.isoformat()}, asset
    assert by_asset["observations"][LAST.isoformat()]["dagster/row_count"] == 40
    assert by_asset["observations"][FIRST.isoformat()]["dagster/row_count"] == 0
    assert by_asset["scores"][LAST.isoformat()]["dagster/row_count"] == 5
    assert by_asset["reconciliation"][LAST.isoformat()]["unexplained"] == 0
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    names = ("observations_are_whole", "copy_equals_source", "written_scores_came_back")
    assert checks == dict.fromkeys(names, True)
    (row,) = Deployment.from_environment().database.table("project").to_dict("records")
    assert (row["project_id"], row["server_version"]) == ("local-project", "4.16.0")


def test_a_broken_copy_stops_before_the_marts(server: Running) -> None:
    assert run().success
    opened = Deployment.from_environment()
    rows = opened.lake.read_day("observations", "local-project", DAY)
    opened.lake.replace_day("observations", "local-project", DAY, [rows, rows.slice(0, 3)])
    check = "observations_are_whole"
    from assets.ingest import observations_are_whole

    context = _check_context()
    result = observations_are_whole.op.compute_fn.decorated_fn(context, _resource())  # type: ignore[attr-defined, union-attr]
    assert not result.passed
    assert "3 observations are there twice" in result.description
    spec = next(iter(observations_are_whole.check_specs))
    assert (spec.name, spec.blocking) == (check, True)


class _Days:
    has_partition_key = False
    has_partition_key_range = True
    partition_keys = (FIRST.isoformat(), LAST.isoformat())


def _check_context() -> Any:
    return _Days()


def _resource() -> Any:
    from llmops_jobs.resources import DeploymentResource

    return DeploymentResource()


def test_rows_that_the_source_lost_are_told_and_stop_nothing(
    server: Running, source: MemorySource
) -> None:
    assert run().success
    source.remove("o0", "o600")
    result = run("reconciliation")
    assert result.success
    (check,) = [c for c in result.get_asset_check_evaluations() if not c.passed]
    assert check.check_name == "copy_equals_source"
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "the source has lost, merged or deleted 2 rows" in str(check.description)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [("unauthorized", "refused the keys"), ("unavailable", "could not be read in 5 tries: 503")],
)
def test_a_person_who_waits_is_told_at_once_in_one_sentence(
    server: Running, fault: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmops_jobs.langfuse.client._backoff", lambda *_: 0.001)
    Deployment.from_environment().projects()
    server.state.faults.set([fault])
    result = run("observations")
    (failed,) = result.get_step_failure_events()
    error = failed.step_failure_data.error
    assert error is not None
    assert sentence in error.message
    assert error.cause is None
    assert not result.filter_events(lambda e: e.is_step_up_for_retry)


def test_a_scheduled_night_waits_for_a_source_that_is_down(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmops_jobs.langfuse.client._backoff", lambda *_: 0.001)
    monkeypatch.setattr("assets.ingest._RETRY_SECONDS", 0)
    Deployment.from_environment().projects()
    server.state.faults.set([{"kind": "unavailable", "last": 9}])
    result = run("observations", {"dagster/schedule_name": "nightly_schedule"})
    assert result.success
    assert len(result.filter_events(lambda e: e.is_step_up_for_retry)) == 1
    rows = Deployment.from_environment().lake.read_day("observations", "local-project", DAY)
    assert rows.num_rows == 40


def test_what_was_landed_before_a_retry_is_not_pulled_again(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmops_jobs.langfuse.client._backoff", lambda *_: 0.001)
    monkeypatch.setattr("assets.ingest._RETRY_SECONDS", 0)
    Deployment.from_environment().projects()
    of_last = f"fromStartTime={LAST.isoformat()}"
    server.state.faults.set([{"kind": "unavailable", "path": of_last, "last": 5}])
    result = run("observations", {"dagster/backfill": "abcdefgh"})
    assert result.success
    asked = [line for line in server.state.requests if "v2/observations?" in line]
    assert sum(of_last in line for line in asked) == 6
    assert len(asked) == 7


def test_two_projects_with_keys_of_their_own_are_copied_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = MemorySource([observation(n) for n in range(3)], project_id="shop")
    lab = MemorySource([observation(n) for n in range(7)], project_id="lab")
    config = tmp_path / "llmops.yaml"
    config.write_text(
        "projects:\n"
        + "".join(
            f"  - {{name: {name}, base_url_env: {name}_URL, public_key_env: {name}_PUBLIC, "
            f"secret_key_env: {name}_SECRET}}\n"
            for name in ("SHOP", "LAB")
        )
    )
    with running(shop, public_key="pk-shop") as first, running(lab, public_key="pk-lab") as second:
        for name, server in (("SHOP", first), ("LAB", second)):
            monkeypatch.setenv(f"{name}_URL", server.url)
            monkeypatch.setenv(f"{name}_PUBLIC", server.public_key)
            monkeypatch.setenv(f"{name}_SECRET", server.secret_key)
        monkeypatch.setenv("LLMOPS_CONFIG", str(config))
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
        result = run("observations")
    assert result.success
    opened = Deployment.from_environment()
    rows = {p: opened.lake.read_day("observations", p, DAY).num_rows for p in ("shop", "lab")}
    assert rows == {"shop": 3, "lab": 7}
    counted = [
        event.step_materialization_data.materialization.metadata["dagster/row_count"].value
        for event in result.get_asset_materialization_events()
        if event.step_materialization_data.materialization.partition == DAY.isoformat()
    ]
    assert counted == [10]


def test_a_score_that_was_written_and_never_appeared_is_named(
    server: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pandas as pd

    from llmops_jobs.evals.write_back import write_back

    config = tmp_path / "llmops.yaml"
    config.write_text("evals: {write_back: [refusal]}\n")
    monkeypatch.setenv("LLMOPS_CONFIG", str(config))
    assert run("observations").success
    opened = Deployment.from_environment()
    (project,) = opened.projects()
    row = {"project_id": project.id, "day": DAY, "scorer": "refusal", "scorer_version": "1"}
    given = [
        {**row, "trace_id": "t0", "observation_id": "o0", "value": 1.0, "passed": True}
        | {"status": "ok", "label": "", "reason": "", "cost_usd": 0, "inclusion_probability": 1.0},
    ]
    opened.database.upsert("score", pd.DataFrame(given))
    assert write_back(opened.lake, opened.database, project, DAY, opened.settings.evals) == 1
    (fine,) = run("scores").get_asset_check_evaluations()
    assert fine.passed
    (written,) = (
        opened.lake.read_day("scores", project.id, DAY, ["score_id", "name"])
        .filter(pc.field("name") == "refusal")["score_id"]
        .to_pylist()
    )
    server.state.overlay.delete(written)
    (lost,) = run("scores").get_asset_check_evaluations()
    assert not lost.passed
    assert f"2026-03-04: refusal of t0 ({written})" in str(lost.description)
