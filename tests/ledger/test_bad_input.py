"""Bad input, by the front door: counted, named and surfaced, never a silent zero or a trace."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from llmops_jobs.cli import main
from llmops_jobs.deployment import Deployment
from llmops_jobs.launch import open_instance
from tests.facts import DAY, PROJECT, facts

NONE = {"input_tokens": 0, "output_tokens": 0}
USD = Decimal("0.25")
# What is wrong -> the row, and what the ledger says: (issue, status, cost).
BAD: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "unknown model": ({"model": "mystery"}, ("missing_price", "unpriced", "0")),
    "unknown model, known cost": (
        {"model": "mystery", "reported_cost_usd": USD},
        ("missing_price", "reported", "0.25"),
    ),
    "tokens without model": ({"model": ""}, ("missing_model", "unpriced", "0")),
    "call without tokens": (NONE, ("missing_usage", "unpriced", "0")),
    "cost without tokens": (
        {**NONE, "reported_cost_usd": USD},
        ("missing_usage", "reported", "0.25"),
    ),
    "negative tokens": (
        {"input_tokens": -5, "usage_issue": "negative"},
        ("negative_tokens", "unpriced", "0"),
    ),
    "overlapping tokens": (
        {"cache_read_tokens": 1_500, "usage_issue": "overlap"},
        ("overlapping_tokens", "list", "0.000232500"),
    ),
    "an answer to nothing": (
        {"input_tokens": None, "reported_cost_usd": None},
        ("incomplete_tokens", "list", "0.000120000"),
    ),
    "a tier without a price": (
        {"model_parameters": '{"service_tier": "scale"}', "reported_cost_usd": None},
        ("unpriced_tier", "list", "0.000270000"),
    ),
    "a host without prices": (
        {"provider": "openai", "model": "deepinfra/deepseek-ai/DeepSeek-V3.2"},
        ("missing_price", "unpriced", "0"),
    ),
    "tokens beyond reason": (
        {"input_tokens": 2**60},
        ("implausible_tokens", "unpriced", "0"),
    ),
}


@pytest.fixture
def home(configured: Callable[..., Deployment]) -> Deployment:
    deployment = configured()
    rows = [
        {"trace_id": what, "request_model": "", "reported_cost_usd": None, **row}
        for what, (row, _) in BAD.items()
    ]
    deployment.lake.replace_day("observations", PROJECT, DAY, facts("observations", rows))
    return deployment


def run(*more: str) -> int:
    """`llmops run` over the day; its exit code."""
    days = ("--from", str(DAY), "--to", str(DAY))
    with pytest.raises(SystemExit) as left:
        main(["run", *days, "--select", "costs,usage_daily,cost_audit", *more])
    return int(left.value.code or 0)


def test_every_kind_of_bad_row_is_counted_and_named(home: Deployment) -> None:
    assert run() == 0
    costs = home.lake.read_day("costs", PROJECT, DAY).to_pandas().set_index("trace_id")
    for what, (_, (issue, status, usd)) in BAD.items():
        cost = costs.loc[what]
        assert (cost["issue"], cost["price_status"]) == (issue, status), what
        assert (cost["cost_usd"] is None) == (status == "unpriced"), what
        assert status == "unpriced" or cost["cost_usd"] == Decimal(usd), what
    issues = home.database.table("cost_issue_daily")
    assert issues["requests"].sum() == len(BAD)
    assert set(issues["issue"]) == {told[0] for _, told in BAD.values()}
    usage = home.database.table("usage_daily")
    assert usage["issues"].sum() == usage["requests"].sum() == len(BAD)
    audit = home.database.table("cost_audit")
    assert audit["requests"].sum() == len(BAD)


def test_the_checks_name_models_and_causes(home: Deployment) -> None:
    assert run() == 0
    told: dict[str, tuple[bool, str]] = {}
    with open_instance() as instance:
        records = instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), limit=50
        )
    for record in records:
        event = record.event_log_entry.dagster_event
        assert event is not None
        found = event.asset_check_evaluation_data
        told[found.check_name] = (found.passed, found.description or "")
    assert not told["unpriced_spend"][0]
    assert "mystery (1 calls)" in told["unpriced_spend"][1]
    assert not told["doubtful_amounts"][0]
    named = ("missing_model", "missing_usage", "negative_tokens", "overlapping_tokens")
    for issue in (*named, "unpriced_tier"):
        assert issue in told["doubtful_amounts"][1]
    assert told["every_call_has_a_cost"][0]


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ("{match: {model: '('}, discount: 0.1}", "not a regular expression"),
        (
            "{match: {model: a}, discount: 0.1}, {match: {model: a}, from: 2026-01-01, "
            "discount: 0.2}",
            "both price 'a'",
        ),
        ("{match: {model: a}, currency: EUR, per_million_tokens: {input: 1}}", "usd_rate"),
    ],
)
def test_a_wrong_price_file_stops_the_run_in_one_line(
    home: Deployment, capfd: pytest.CaptureFixture[str], prices: str, told: str
) -> None:
    Path("prices.yaml").write_text(f"prices: [{prices}]")
    config = f"projects: [{{id: {PROJECT}}}]\nledger: {{price_file: prices.yaml}}\n"
    Path("llmops.yaml").write_text(config)
    assert run() == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert "prices.yaml" in last and told in last
    assert not home.database.table("usage_daily").shape[0]
    from llmops_jobs.cli import llmops

    doctor = CliRunner().invoke(llmops, ["doctor"])
    assert doctor.exit_code == 1 and told in doctor.output


def test_a_bill_is_compared_by_the_nightly_run_and_what_it_cannot_say_is_counted(
    home: Deployment,
) -> None:
    Path("bill.csv").write_text(
        "date,model,cost,currency\n"
        f"{DAY},gpt-4o-mini,0.0002325,USD\n"
        f"{DAY},mystery,99,EUR\n"
        f"{DAY},gpt-image,7,USD\n"
        "someday,gpt-4o-mini,1,USD\n"
    )
    config = f"projects: [{{id: {PROJECT}}}]\nledger: {{bills: [{{path: bill.csv, name: b}}]}}\n"
    Path("llmops.yaml").write_text(config)
    assert run() == 0
    told = home.database.table("bill_audit").set_index("model")
    assert told["cause"]["mystery"] == "other_currency"
    assert told["cause"]["gpt-image"] == "not_in_ledger"
    assert told["difference_usd"]["gpt-image"] == Decimal(-7)
    assert told["billed_usd"]["gpt-4o-mini"] == Decimal("0.0002325")
    with open_instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("cost_audit"))
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.metadata["unread_bill_lines"].value == 1


def test_a_bill_that_cannot_be_read_stops_the_run_in_one_line(
    home: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    config = f"projects: [{{id: {PROJECT}}}]\nledger: {{bills: [{{path: nowhere.csv}}]}}\n"
    Path("llmops.yaml").write_text(config)
    assert run() == 1
    assert "nowhere.csv" in capfd.readouterr().err.strip().splitlines()[-1]
