"""The group `forecast` in real Dagster runs, and the commands that read what it wrote."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from assets import forecast
from llmops_jobs import progress
from llmops_jobs.cli.budgets import command as budgets_command
from llmops_jobs.cli.forecast import command as forecast_command
from llmops_jobs.forecast import runs
from llmops_jobs.forecast.frames import QUANTILES, daily_rows
from llmops_jobs.forecast.nightly import Night
from llmops_jobs.forecast.scorecard import HORIZONS
from llmops_jobs.resources import DeploymentResource
from llmops_jobs.schedules import END_TAG, START_TAG
from llmops_jobs.store import Database
from tests.forecast.usage import PROJECT, nights, row, store, usage

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


def run(
    select: str = "*", first: date = NIGHTS[0], *, may_fail: bool = False
) -> dg.ExecuteInProcessResult:
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
        jobs=[dg.define_asset_job("all", selection=select)],
    )
    tags = {START_TAG: first.isoformat(), END_TAG: NIGHTS[-1].isoformat()}
    job = defs.resolve_job_def("all")
    return job.execute_in_process(tags=tags, raise_on_error=not may_fail)


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
    assert "2026-09   total" in told.output
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


def test_a_budget_ends_where_the_stored_forecast_of_its_period_does(home: Database) -> None:
    run()
    period = home.table("period_forecast", PROJECT, scope="total", metric="cost_usd")
    period = period[period["period"] == "2026-09"].set_index("as_of")
    budget = home.table("budget_status", PROJECT, budget="product").set_index("as_of")
    assert list(budget.index) == NIGHTS
    for night in NIGHTS:
        for name in ("p10", "p50", "p90"):
            ends = float(budget.loc[night, f"forecast_{name}_usd"])
            assert ends == pytest.approx(period.loc[night, name], rel=1e-5)


def test_running_a_range_again_gives_the_same_rows(home: Database) -> None:
    run()
    before = {
        table: home.table(table, PROJECT).to_json() for table in ("spend_forecast", "budget_status")
    }
    run()
    for table, rows in before.items():
        assert home.table(table, PROJECT).to_json() == rows


def test_a_forecaster_that_has_lost_its_calibration_fails_its_check(home: Database) -> None:
    for as_of in nights(12, 28):  # so sure of itself, and so wrong
        rows = [
            {
                "scope": "total",
                "metric": "cost_usd",
                "target_day": as_of + timedelta(days=ahead),
                "horizon": ahead,
                "mean": 9.0,
                "widened": 1.0,
                "method": "by hand",
            }
            | dict.fromkeys(QUANTILES, 9.0)
            for ahead in HORIZONS
        ]
        home.replace_day("spend_forecast", PROJECT, as_of, pd.DataFrame(rows))
    result = run("forecast_score", NIGHTS[-1])
    assert result.success  # it warns: the forecast of tonight is still the best there is
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "cost_usd: the 80 % interval held 0%" in (check.description or "")


def test_a_crossing_quantile_stops_the_run(home: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def crossing(night: Night) -> pd.DataFrame:
        rows = daily_rows(night)
        return rows.assign(p10=rows["p90"] + 1)

    monkeypatch.setattr(runs, "daily_rows", crossing)
    result = run(first=NIGHTS[-1], may_fail=True)
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["rows"].value > 0
    assert home.table("budget_status", PROJECT).empty


def test_a_contract_with_a_later_date_lowers_the_forecast_from_that_day(
    home: Database, tmp_path: Path
) -> None:
    begins = date(2026, 9, 20)
    (tmp_path / "prices.yaml").write_text(
        f"prices: [{{match: {{model: '^gpt-4o$'}}, from: {begins}, "
        "per_million_tokens: {input: 1.25, cache_read: 0.625, output: 5}}]"
    )
    with (tmp_path / "llmops.yaml").open("a") as file:
        file.write(f"ledger: {{price_file: {tmp_path}/prices.yaml}}\n")
    assert run("spend_forecast", NIGHTS[-1]).success
    asked = ["--scope", "model=gpt-4o", "--json"]
    told = CliRunner().invoke(forecast_command, asked, catch_exceptions=False).output
    (answer,) = json.loads(told)["projects"]
    median = {
        date.fromisoformat(day["target_day"]): day["p50"]
        for day in answer["daily"]
        if day["metric"] == "cost_usd"
    }
    week_before = sum(median[begins - timedelta(days=ahead)] for ahead in range(1, 8))
    week_after = sum(median[begins + timedelta(days=ahead)] for ahead in range(7))
    assert week_after == pytest.approx(week_before / 2, rel=0.1)


def test_assets_tell_how_far_they_are(home: Database) -> None:
    heard: list[tuple[str, int, int]] = []
    with progress.listening(lambda *told: heard.append(told)):
        run()
    for asset in ("spend_forecast", "budget_status", "anomaly", "forecast_score"):
        assert [told for told in heard if told[0] == asset] == [
            (asset, done, 3) for done in range(4)
        ]


def test_a_level_that_moved_is_told_with_its_date(home: Database) -> None:
    rows = usage(41)
    since = NIGHTS[-1] - timedelta(days=5)
    moved = rows["day"] >= since
    rows["cost_usd"] = [
        cost * 4 if there else cost for cost, there in zip(rows["cost_usd"], moved, strict=True)
    ]
    store(home, rows)
    run("spend_forecast", NIGHTS[-1])
    told = CliRunner().invoke(forecast_command, [], catch_exceptions=False).output
    assert "total: level x4." in told or "total: level x3.9" in told
    assert f"since {since}" in told


def test_a_night_of_odd_amounts_is_forecast_with_sound_intervals(home: Database) -> None:
    rows, last = usage(41), NIGHTS[-1]
    odd = [row(day, 1e5, tenant="credited", feature="odd") for day in nights(0, 41)]
    odd += [row(day, 1e5, tenant="jumped", feature="odd") for day in nights(0, 41)]
    odd += [row(day, 0.0, tenant="silent", feature="odd") for day in nights(0, 41)]
    odd += [row(day, 1e5, tenant="equal", feature="odd") for day in nights(0, 41)]
    odd += [row(last, 1e5, tenant="one-day", feature="odd")]
    for each in odd:
        if each["tenant"] == "credited":
            each["cost_usd"] = -each["cost_usd"]
        if each["tenant"] == "jumped" and each["day"] == last - timedelta(days=6):
            each["cost_usd"] *= 10**12
    store(home, pd.concat([rows, pd.DataFrame(odd)]))
    result = run()
    assert all(check.passed for check in result.get_asset_check_evaluations())
    daily = home.table("spend_forecast", PROJECT, as_of=last, metric="tokens", horizon=1)
    for tenant in ("credited", "jumped", "equal", "one-day"):
        (found,) = daily[daily["scope"] == f"tenant={tenant}"].to_dict("records")
        assert 0 <= found["p025"] < found["p50"] < found["p975"]
    cost = home.table("spend_forecast", PROJECT, as_of=last, metric="cost_usd", horizon=1)
    (jumped,) = cost[cost["scope"] == "tenant=jumped"].to_dict("records")
    assert 0 < jumped["p975"] < 1000
