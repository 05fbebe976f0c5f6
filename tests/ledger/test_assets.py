"""The ledger's part of the graph, run by Dagster over a range of days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from llmops_jobs.config import load
from llmops_jobs.deployment import Deployment
from llmops_jobs.launch import Outcome, materialize
from tests.facts import DAY, PROJECT, START, facts

DAYS = [DAY + timedelta(days=offset) for offset in range(3)]


@dataclass(frozen=True)
class Home:
    deployment: Deployment
    prices: Path
    instance: dg.DagsterInstance

    def run(self, select: str) -> Outcome:
        return materialize(DAYS[0], DAYS[-1], instance=self.instance, select=select)

    def checks(self) -> dict[str, tuple[bool, str]]:
        """The last evaluation of every check: (passed, description)."""
        records = self.instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), limit=100
        )
        found: dict[str, tuple[bool, str]] = {}
        for record in records:
            event = record.event_log_entry.dagster_event
            assert event is not None
            evaluation = event.asset_check_evaluation_data
            found.setdefault(
                evaluation.check_name, (evaluation.passed, evaluation.description or "")
            )
        return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_langfuse: None) -> Iterator[Home]:
    prices = tmp_path / "prices.yaml"
    prices.write_text("prices: []")
    config = tmp_path / "llmops.yaml"
    config.write_text(f"projects: [{{id: {PROJECT}}}]\nledger: {{price_file: {prices}}}\n")
    monkeypatch.setenv("LLMOPS_CONFIG", str(config))
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    deployment = Deployment(load())
    for number, day in enumerate(DAYS):
        row = {"day": day, "start_time": START + timedelta(days=number)}
        calls = [{**row, "model": "house", "reported_cost_usd": None}, row]
        deployment.lake.replace_day("observations", PROJECT, day, facts("observations", calls))
    with dg.instance_for_test() as instance:
        yield Home(deployment, prices, instance)
    deployment.database.engine.dispose()


def spend(home: Home, day: date) -> Decimal:
    rows = home.deployment.database.table("usage_daily", PROJECT, day, day)
    return sum(rows["cost_usd"], Decimal(0))


def test_a_new_price_is_a_run_of_the_costs_and_no_pull(home: Home) -> None:
    """The address of Langfuse in this test answers nothing."""
    assert home.run("costs,usage_daily").success
    assert [spend(home, day) for day in DAYS] == [Decimal("0.00027")] * 3
    passed, told = home.checks()["unpriced_spend"]
    assert not passed
    assert "house (3 calls)" in told

    home.prices.write_text(
        "prices: [{match: {model: house}, from: 2026-03-05, per_million_tokens: "
        "{input: 1000, output: 0}}]"
    )
    assert home.run("costs,usage_daily,spend_change").success
    assert [spend(home, day) for day in DAYS] == [
        Decimal("0.00027"),
        Decimal("1.00027"),
        Decimal("1.00027"),
    ]
    checks = home.checks()
    assert "house (1 calls)" in checks["unpriced_spend"][1]
    assert checks["changes_add_up"][0]
    change = home.deployment.database.table("spend_change", PROJECT, DAYS[1], DAYS[1])
    price = change[(change["scope"] == "total") & (change["factor"] == "price")]
    assert price["effect_usd"].tolist() == [Decimal(1)]


def test_days_priced_with_another_book_are_known(home: Home) -> None:
    from llmops_jobs.ledger.checks import changes_that_do_not_add_up, days_priced_otherwise

    assert home.run("costs,usage_daily,spend_change").success
    assert days_priced_otherwise(home.deployment, PROJECT) == []
    home.prices.write_text("prices: [{match: {model: gpt-4o-mini}, discount: 0.5}]")
    assert days_priced_otherwise(home.deployment, PROJECT) == DAYS
    assert changes_that_do_not_add_up(home.deployment, DAYS) == []
    with home.deployment.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE spend_change SET after_usd = 9 WHERE scope = 'total'")
    assert "total" in changes_that_do_not_add_up(home.deployment, DAYS)[0]


def test_a_price_that_the_source_has_otherwise_is_named(home: Home) -> None:
    row = {"day": DAY, "reported_cost_usd": Decimal("0.5")}
    home.deployment.lake.replace_day("observations", PROJECT, DAY, facts("observations", [row]))
    assert home.run("costs,usage_daily,cost_audit").success
    passed, told = home.checks()["differences_are_explained"]
    assert not passed
    assert "gpt-4o-mini (-0.50 dollars)" in told


def test_every_day_of_a_range_has_its_own_metadata(home: Home) -> None:
    assert home.run("costs,usage_daily").success
    for asset in ("costs", "usage_daily"):
        records = home.instance.fetch_materializations(dg.AssetKey(asset), limit=10).records
        rows = {
            record.partition_key: record.asset_materialization.metadata["dagster/row_count"].value
            for record in records
            if record.asset_materialization
        }
        assert rows == {day.isoformat(): 2 for day in DAYS}, asset


def test_a_lost_cost_row_stops_the_run_before_the_marts(home: Home) -> None:
    from llmops_jobs.ledger.checks import calls_without_cost

    assert home.run("costs,usage_daily").success
    assert calls_without_cost(home.deployment, DAYS) == []
    costs = home.deployment.lake.read_day("costs", PROJECT, DAY)
    home.deployment.lake.replace_day("costs", PROJECT, DAY, costs.slice(1))
    (told,) = calls_without_cost(home.deployment, DAYS)
    assert f"{PROJECT} {DAY}: 2 calls, 1 cost rows" in told
