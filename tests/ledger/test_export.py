"""`llmops export`: FOCUS rows that sum to the ledger, and the marts as files."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from llmops_jobs.cli import llmops
from llmops_jobs.config import load
from llmops_jobs.days import start_of
from llmops_jobs.deployment import Deployment
from llmops_jobs.ledger.book import load_book
from llmops_jobs.ledger.daily import aggregate_days, price_day
from llmops_jobs.ledger.focus import focus_rows
from llmops_jobs.ledger.focus_columns import SCHEMA
from tests.facts import DAY, PROJECT, facts

Home = Callable[..., Deployment]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """`home(rows)`: a deployment whose day holds those calls, priced and aggregated."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("prices: [{match: {model: gpt-5}, discount: 0.2}]")
    config = tmp_path / "llmops.yaml"
    config.write_text(f"projects: [{{id: {PROJECT}}}]\nledger: {{price_file: {prices}}}\n")
    monkeypatch.setenv("LLMOPS_CONFIG", str(config))
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    for name in ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    def make(*rows: dict[str, Any]) -> Deployment:
        deployment = Deployment(load())
        deployment.lake.replace_day("observations", PROJECT, DAY, facts("observations", rows))
        price_day(deployment, PROJECT, DAY)
        list(aggregate_days(deployment, PROJECT, [DAY]))
        return deployment

    return make


ROWS: tuple[dict[str, Any], ...] = (
    {"model": "gpt-4o", "cache_read_tokens": 300, "reasoning_tokens": 50},
    {"model": "gpt-4o-2024-08-06", "tenant": "initech"},
    {"model": "gpt-4o", "tenant": "globex", "usage_details": '{"web_search_queries": 2}'},
    {"model": "gpt-5", "model_parameters": '{"service_tier": "flex"}'},
    {"model": "gemini-2.5-pro", "provider": "google", "input_tokens": 300_000},
    {"model": "mystery", "provider": "", "reported_cost_usd": Decimal("0.5")},
    {"model": "mystery", "reported_cost_usd": None},
    {"model": "gpt-4o", "level": "ERROR", "input_tokens": 0, "output_tokens": 0},
    {"model": "mystery", "input_tokens": None, "output_tokens": None, "reported_cost_usd": None},
    {"model": "gpt-4o-mini", "is_evaluation": True, "environment": "langfuse-evaluation"},
)


def export(*arguments: str) -> str:
    done = CliRunner().invoke(llmops, ["export", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_focus_rows_sum_to_the_ledger(home: Home, tmp_path: Path) -> None:
    deployment = home(*ROWS)
    out = tmp_path / "focus.parquet"
    told = export("focus", "--from", str(DAY), "--to", str(DAY), "--out", str(out))
    rows = pq.read_table(out)
    assert told.strip() == f"{out}: {rows.num_rows} rows"
    usage = deployment.database.table("usage_daily", PROJECT, DAY, DAY)
    for name in ("EffectiveCost", "ContractedCost", "BilledCost"):
        assert pc.sum(rows[name]).as_py() == sum(usage["cost_usd"])
    product = rows.filter(pc.invert(rows["x_IsEvaluation"]))
    assert pc.sum(product["EffectiveCost"]).as_py() == sum(
        usage[~usage["is_evaluation"].astype(bool)]["cost_usd"]
    )
    assert rows.schema.metadata[b"focus_version"] == b"1.3"


def test_a_price_of_a_sku_is_one_row_of_a_day_and_tenant(home: Home, tmp_path: Path) -> None:
    """Off-peak hours on both sides of midnight are one price, and not that of the day between."""
    hours = (0, 2, 12, 17, 23)
    call = {"model": "deepseek-chat", "provider": "deepseek"}
    home(*({**call, "start_time": start_of(DAY) + timedelta(hours=hour)} for hour in hours))
    out = tmp_path / "focus.parquet"
    export("focus", "--from", str(DAY), "--to", str(DAY), "--out", str(out))
    rows = pq.read_table(out).to_pylist()
    keys = [(row["SkuId"], row["SkuPriceId"], row["x_Tenant"]) for row in rows]
    assert len(set(keys)) == len(keys) == 4
    prices = {row["SkuPriceId"]: row["ListUnitPrice"] for row in rows}
    assert len(set(prices.values())) == 4
    assert sum("#hours=" in name for name in prices) == 2


def test_every_meter_is_a_row_with_quantity_and_price(home: Home, tmp_path: Path) -> None:
    home(*ROWS)
    out = tmp_path / "focus.parquet"
    export("focus", "--from", str(DAY), "--to", str(DAY), "--out", str(out))
    rows = pq.read_table(out).to_pylist()
    metered = [row for row in rows if row["SkuPriceId"]]
    for row in metered:
        assert row["ContractedUnitPrice"] * row["PricingQuantity"] == row["ContractedCost"]
        assert row["ListUnitPrice"] * row["PricingQuantity"] == row["ListCost"]
        assert row["ConsumedQuantity"] is not None
    found = {(row["x_Model"], row["x_Tenant"], row["SkuMeter"]): row for row in metered}
    skus: dict[str, set[str]] = {}
    for row in metered:
        skus.setdefault(row["SkuPriceId"], set()).add(row["SkuId"])
    assert all(len(parents) == 1 for parents in skus.values())
    cached = found["gpt-4o", "acme", "Cached Input Tokens"]
    assert (cached["ConsumedQuantity"], cached["ListUnitPrice"]) == (300, Decimal("1.25"))
    assert cached["ServiceProviderName"] == "OpenAI"
    assert found["gpt-4o", "globex", "Web Searches"]["EffectiveCost"] == Decimal("0.02")
    assert ">200000" in found["gemini-2.5-pro", "acme", "Input Tokens"]["SkuPriceId"]
    assert found["gpt-5", "acme", "Input Tokens"]["ListCost"] == Decimal("0.00125")
    assert found["gpt-5", "acme", "Input Tokens"]["ContractedCost"] == Decimal("0.001")


def test_what_has_no_price_has_no_quantity_but_its_tokens(home: Home, tmp_path: Path) -> None:
    home(*ROWS)
    out = tmp_path / "focus.parquet"
    export("focus", "--from", str(DAY), "--to", str(DAY), "--out", str(out))
    rows = {r["x_PriceStatus"]: r for r in pq.read_table(out).to_pylist() if not r["SkuPriceId"]}
    assert rows["unpriced"]["EffectiveCost"] == 0
    assert rows["unpriced"]["x_ConsumedTokens"] == 1200
    assert rows["unpriced"]["ConsumedQuantity"] is rows["unpriced"]["PricingQuantity"] is None
    assert rows["reported"]["EffectiveCost"] == Decimal("0.5")


def test_rows_are_split_by_what_is_asked_for(home: Home, tmp_path: Path) -> None:
    home({"feature": "a"}, {"feature": "b", "prompt_version": 7})
    out = tmp_path / "focus.csv"
    span = ("--from", str(DAY), "--to", str(DAY + timedelta(days=1)))
    export("focus", *span, "--format", "csv", "--out", str(out))
    assert len(list(csv.DictReader(out.open()))) == 2
    split = ("--by", "feature", "--by", "prompt_version")
    export("focus", *span, "--format", "csv", *split, "--out", str(out))
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 4
    assert {row["x_Feature"] for row in rows} == {"a", "b"}
    assert {row["x_PromptVersion"] for row in rows} == {"1", "7"}
    assert rows[0]["ChargePeriodStart"] == "2026-03-04T00:00:00Z"
    assert "E-" not in "".join(row["EffectiveCost"] for row in rows)


def test_a_day_priced_with_another_book_is_refused(home: Home, tmp_path: Path) -> None:
    home({})
    (tmp_path / "prices.yaml").write_text("prices: []")
    span = ["focus", "--from", str(DAY), "--to", str(DAY), "--out", str(tmp_path / "f.parquet")]
    done = CliRunner().invoke(llmops, ["export", *span])
    assert "priced with another price book" in str(done.exception)
    assert not list(tmp_path.glob("*f.parquet*"))


def test_columns_and_types_are_those_of_real_focus_files(shared: Callable[[str], Path]) -> None:
    with gzip.open(shared("data/focus_sample/focus_sample.csv.gz"), "rt") as file:
        real = next(csv.reader(file))
    ours = {name for name in SCHEMA.names if not name.startswith("x_")}
    # Named otherwise, or not there yet, in the sample's version 1.0.
    newer = {"ServiceProviderName", "HostProviderName", "ServiceSubcategory", "SkuMeter"}
    newer |= {"SkuPriceDetails", "PricingCurrency", "InvoiceId"}
    assert ours - newer <= set(real)
    assert "ProviderName" not in ours and "PublisherName" not in ours  # deprecated in 1.3


def test_an_empty_day_exports_no_row() -> None:
    book = load_book()
    calls = facts("observations", [])
    rows = focus_rows(book, calls, facts("costs", []), project="p", project_name="p", day=DAY)
    assert rows.schema == SCHEMA and rows.num_rows == 0


def test_marts_are_exported_with_their_types(home: Home, tmp_path: Path) -> None:
    home(*ROWS)
    out = tmp_path / "marts"
    export("parquet", "--table", "usage_daily", "--table", "top_spender", "--out", str(out))
    usage = pq.read_table(out / "usage_daily.parquet")
    assert usage.schema.field("cost_usd").type == pa.decimal128(20, 9)
    assert usage.schema.field("day").type == pa.date32()
    assert pc.sum(usage["requests"]).as_py() == len(ROWS)
    done = CliRunner().invoke(llmops, ["export", "parquet", "--table", "nope"])
    assert "there is no table nope" in str(done.exception)
