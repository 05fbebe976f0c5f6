"""The group `forecast` in real Dagster runs, and the commands that read what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from assets import forecast
from llmops_jobs.cli.budgets import command as budgets_command
from llmops_jobs.cli.forecast import command as forecast_command
from llmops_jobs.resources import DeploymentResource
from llmops_jobs.schedules import END_TAG, START_TAG
from llmops_jobs.store import Database
from tests.forecast.usage import PROJECT, nights, store, usage

CONFIG = """
projects: [{id: test-project}]
forecast: {paths: 200, small_share: 0.9}
budgets:
  - {name: product, amount: 150, owner: ml-team}
  - {name: rag, amount: 2, period: week, scope: feature=rag-answer, time_zone: America/New_York}
  - {name: typo, amount: 5, scope: feature=rag-anwser}
"""
NIGHTS = nights(38, 3)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    (tmp_path / "llmops.yaml").write_text(CONFIG)
    monkeypatch.setenv("LLMOPS_CONFIG", str(tmp_path / "llmops.yaml"))
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    for name in ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    database = Database(f"sqlite:///{tmp_path}/llmops.db")
    database.create()
    store(database, usage(41))
    return database


def run() -> dg.ExecuteInProcessResult:
    assets = [
        forecast.spend_forecast,
        forecast.budget_status,
        forecast.anomaly,
        forecast.forecast_score,
        forecast.quantiles_are_sound,
        forecast.forecast_is_calibrated,
    ]
    defs = dg.Definitions(
        assets=assets[:4],
        asset_checks=assets[4:],
        resources={"deployment": DeploymentResource()},
        jobs=[dg.define_asset_job("all", selection="*")],
    )
    tags = {START_TAG: NIGHTS[0].isoformat(), END_TAG: NIGHTS[-1].isoformat()}
    return defs.resolve_job_def("all").execute_in_process(tags=tags)


def test_a_run_over_three_nights_fills_the_tables_and_the_commands_tell_them(
    home: Database,
) -> None:
    result = run()
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    for table in ("spend_forecast", "period_forecast", "budget_status", "forecast_score"):
        assert len(home.table(table, PROJECT)) > 0, table
    assert set(home.table("spend_forecast", PROJECT)["as_of"]) == set(NIGHTS)

    told = CliRunner().invoke(forecast_command, [], catch_exceptions=False)
    assert "2026-09  total" in told.output
    answer = json.loads(
        CliRunner().invoke(forecast_command, ["--json"], catch_exceptions=False).output
    )["projects"][0]
    assert answer["as_of"] == NIGHTS[-1].isoformat()
    assert {"scope", "metric", "target_day", "p10", "p50", "p90"} <= set(answer["daily"][0])

    told = CliRunner().invoke(
        forecast_command, ["--what-if", "rag-answer@1=gpt-4o-mini"], catch_exceptions=False
    )
    assert "rag-answer@1 on gpt-4o-mini" in told.output
    asked = ["--what-if", "rag-answer@1=gpt-4o-mini", "--json"]
    found = json.loads(CliRunner().invoke(forecast_command, asked, catch_exceptions=False).output)
    (found,) = found["what_if"]
    assert found["what_if_usd"] < 0.2 * found["cost_usd"]
    assert all(period["change_usd"] <= 0 for period in found["periods"])
    for wrong, message in (("rag-answer", "PROMPT@VERSION=MODEL"), ("nope@1=gpt-4o", "nope@1")):
        refused = CliRunner().invoke(forecast_command, ["--what-if", wrong])
        assert message in str(refused.exception)

    told = CliRunner().invoke(budgets_command, [], catch_exceptions=False)
    assert "P(over)" in told.output
    rows = json.loads(
        CliRunner().invoke(budgets_command, ["--json"], catch_exceptions=False).output
    )["budgets"]
    by_name = {row["budget"]: row for row in rows}
    assert by_name["typo"]["status"] == "no_data"
    assert "feature=rag-answer" in by_name["typo"]["advice"]
    assert 0 <= by_name["product"]["probability_over"] <= 1
    assert by_name["product"]["owner"] == "ml-team"


def test_running_a_range_again_gives_the_same_rows(home: Database) -> None:
    run()
    before = {
        table: home.table(table, PROJECT).to_json() for table in ("spend_forecast", "budget_status")
    }
    run()
    for table, rows in before.items():
        assert home.table(table, PROJECT).to_json() == rows
