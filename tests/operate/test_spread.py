"""A range spread over run workers: as one run's, whatever order the pieces come in."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import httpx
import pytest
from click.testing import CliRunner
from dagster import DagsterRunStatus

from llmops_jobs import spread
from llmops_jobs.cli import llmops
from llmops_jobs.definitions import defs
from llmops_jobs.errors import UserError
from llmops_jobs.evals.settings import EvalSettings, JudgeSettings, QualityModelSettings
from tests.conftest import ROOT


def test_pieces_cover_a_range_once_and_in_order() -> None:
    found = list(spread.pieces(date(2026, 2, 26), date(2026, 3, 4), 3))
    assert found == [
        (date(2026, 2, 26), date(2026, 2, 28)),
        (date(2026, 3, 1), date(2026, 3, 3)),
        (date(2026, 3, 4), date(2026, 3, 4)),
    ]


def test_the_stages_are_the_nightly_job_in_parts() -> None:
    graph = defs.resolve_asset_graph()
    keys = [
        set(defs.resolve_job_def(name).asset_layer.executable_asset_keys) for name in spread.STAGES
    ]
    assert set().union(*keys) == graph.get_all_asset_keys()
    assert sum(map(len, keys)) == len(graph.get_all_asset_keys())
    done: set[dg.AssetKey] = set()
    for part in keys:  # a stage needs nothing of a later one
        done |= part
        assert all(graph.get(key).parent_keys <= done for key in part)


class Queue:
    """A web server's answers: every run ends after two questions."""

    def __init__(self, failing: str = "") -> None:
        self.requested: list[tuple[str, str, str]] = []
        self.asked: dict[str, int] = {}
        self.failing = failing

    def __call__(self, *_: object, **__: object) -> Queue:
        return self

    def submit_job_execution(self, job: str, tags: dict[str, str]) -> str:
        assert all(count == 2 for run, count in self.asked.items() if not run.startswith(job))
        first, last = (tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        self.requested.append((job, first, last))
        self.asked[f"{job}:{first}"] = 0
        return f"{job}:{first}"

    def get_run_status(self, run: str) -> DagsterRunStatus:
        self.asked[run] += 1
        if self.asked[run] < 2:
            return DagsterRunStatus.STARTED
        return DagsterRunStatus.FAILURE if run == self.failing else DagsterRunStatus.SUCCESS


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    found = Queue()
    monkeypatch.setattr("dagster_graphql.DagsterGraphQLClient", found)
    answer = httpx.Response(200, request=httpx.Request("GET", "http://127.0.0.1:3000"))
    monkeypatch.setattr(httpx, "get", lambda *_, **__: answer)
    monkeypatch.setattr(spread, "_POLL_SECONDS", 0)
    yield found


def test_a_stage_begins_when_the_one_before_has_ended(queue: Queue) -> None:
    days = ["--from", "2026-03-01", "--to", "2026-03-04", "--days-per-run", "2"]
    done = CliRunner().invoke(llmops, ["backfill", *days])
    assert done.exit_code == 0, done.output
    assert queue.requested == [
        ("copy", "2026-03-01", "2026-03-02"),
        ("copy", "2026-03-03", "2026-03-04"),
        ("measure", "2026-03-01", "2026-03-02"),
        ("measure", "2026-03-03", "2026-03-04"),
        ("evaluate", "2026-03-01", "2026-03-04"),
        ("conclude", "2026-03-01", "2026-03-04"),
    ]
    assert "conclude 2026-03-01 to 2026-03-04: success" in done.output


def test_a_failed_piece_is_named_and_nothing_is_concluded(queue: Queue) -> None:
    queue.failing = "measure:2026-03-03"
    with pytest.raises(UserError, match="measure 2026-03-03 to 2026-03-04"):
        spread.backfill(
            date(2026, 3, 1),
            date(2026, 3, 4),
            days_per_run=2,
            ui="http://x:1",
            settings=EvalSettings(),
            say=print,
        )
    assert "conclude" not in {job for job, _, _ in queue.requested}


def test_a_web_server_that_is_not_there_is_told_in_a_line() -> None:
    with pytest.raises(UserError, match=r"no Dagster web server at http://127.0.0.1:9 .*llmops up"):
        spread.backfill(
            date(2026, 3, 1),
            date(2026, 3, 1),
            days_per_run=1,
            ui="http://127.0.0.1:9",
            settings=EvalSettings(),
            say=print,
        )


def test_scores_are_made_in_order_where_they_rest_on_earlier_ones() -> None:
    apart = EvalSettings(quality_model=QualityModelSettings(enabled=False))
    judged = apart.model_copy(update={"judge": JudgeSettings(rubrics=("faithfulness",))})
    assert spread.is_cut("evaluate", apart)
    assert not spread.is_cut("evaluate", judged)
    assert not spread.is_cut("evaluate", EvalSettings())
    assert [spread.is_cut(stage, apart) for stage in ("copy", "measure", "conclude")] == [
        *(True, True, False)
    ]


@pytest.mark.parametrize(
    ("config", "pool"),
    [
        ("{evals: {judge: {rubrics: [faithfulness]}}}", "judge"),
        ("{evals: {}}", None),
        ("{evil: 1}", None),
    ],
)
def test_runs_share_the_judges_budget_by_a_pool_where_there_is_a_judge(
    config: str, pool: str | None, tmp_path: Path
) -> None:
    (tmp_path / "llmops.yaml").write_text(config, encoding="utf-8")
    code = (
        "from llmops_jobs.definitions import defs;"
        "print({d.op.name: d.op.pool for d in defs.assets if d.op.pool})"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={"LLMOPS_CONFIG": str(tmp_path / "llmops.yaml"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = ast.literal_eval(done.stdout)
    assert found.get("score") == pool
    assert found["observations"] == found["observation_text"] == "langfuse"


@pytest.mark.slow
def test_two_workers_on_one_postgres_give_one_runs_marts(tmp_path: Path) -> None:
    from bench.spread import compare
    from tests.postgres import available

    if (reason := available()) is not None:
        pytest.skip(reason)
    found, seconds = compare(tmp_path, days=2, requests=40, workers=(2,))
    assert found == []
    assert set(seconds[2]) == set(spread.STAGES)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("dagster_ray") is None, reason="dagster-ray is not installed"
)
def test_runs_handed_to_ray_give_one_runs_marts(tmp_path: Path) -> None:
    from bench.spread import compare
    from tests.postgres import available

    if (reason := available()) is not None:
        pytest.skip(reason)
    assert compare(tmp_path, days=2, requests=40, launcher="ray", workers=(2,))[0] == []
