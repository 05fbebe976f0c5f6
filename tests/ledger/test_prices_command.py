"""`llmops prices`: what a model costs, and lines for the price file where it costs nobody knows."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from llmops_jobs.cli import llmops
from llmops_jobs.config import load
from llmops_jobs.deployment import Deployment
from llmops_jobs.ledger.book import load_book
from llmops_jobs.ledger.settings import LedgerSettings
from tests.facts import DAY, PROJECT


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    return Deployment(load())


def prices(*arguments: str) -> str:
    done = CliRunner().invoke(llmops, ["prices", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_it_shows_every_price_of_a_model_with_its_tiers() -> None:
    told = prices("gemini-2.5-pro", "--provider", "google", "--day", "2026-09-01")
    assert "google/gemini-2.5-pro@" in told
    assert "for calls of more than 200,000 input tokens" in told
    assert load_book().hash in told
    answer = json.loads(prices("gpt-4o", "--day", "2026-09-01", "--json"))
    assert answer["tiers"][0]["per_million_tokens"]["cache_read"] == "1.25"
    assert answer["tiers"][0]["per_piece"]["web_search"] == "0.01"


def test_it_shows_the_price_of_the_day_first_and_that_of_the_night() -> None:
    answer = json.loads(prices("deepseek-chat", "--day", "2026-09-01", "--json"))
    usd = [tier["per_million_tokens"]["input"] for tier in answer["tiers"]]
    assert usd == ["0.27", "0.135"]
    assert "#hours=00:30-16:30" in answer["tiers"][0]["price_id"]
    assert str(load_book().unit_price("", "deepseek-chat", date(2026, 9, 1), "input")) == "0.27"


def test_it_says_that_a_model_has_no_price() -> None:
    assert "mystery: no price on 2026-09-01" in prices("mystery", "--day", "2026-09-01")


def test_models_without_a_price_come_as_lines_that_the_price_file_takes(home: Deployment) -> None:
    row = {"issue": "missing_price", "provider": "", "price_status": "unpriced", "cost_usd": 0}
    row |= {"input_tokens": 5000, "output_tokens": 70, "requests": 3}
    rows = [{**row, "model": "ho(use"}, {**row, "model": "v1.5-local", "provider": "vllm"}]
    home.database.replace_day("cost_issue_daily", PROJECT, DAY, pd.DataFrame(rows))
    told = prices("--day", str(DAY))
    assert "3 calls, 5,000 tokens in, 70 out" in told
    Path("prices.yaml").write_text(told)
    book = load_book(LedgerSettings(price_file="prices.yaml"))
    assert book.tiers("", "ho(use", DAY) and book.tiers("vllm", "v1.5-local", DAY)
    assert not book.tiers("vllm", "v175-local", DAY)
    models = json.loads(prices("--day", str(DAY), "--json"))["models"]
    assert {model["model"] for model in models} == {"ho(use", "v1.5-local"}


def test_without_unpriced_models_it_says_so() -> None:
    assert "has a price" in prices("--day", "2026-01-01")


def test_the_doctor_reads_the_price_file_and_finds_days_of_another_book(
    home: Deployment, tmp_path: Path
) -> None:
    from llmops_jobs.doctor import examine

    def finding() -> tuple[str, str]:
        (found,) = [each for each in examine() if each.name == "prices"]
        return found.status, found.found

    assert finding()[0] == "ok"
    cell = dict.fromkeys(("environment", "provider", "model", "feature", "tenant"), "x")
    cell |= {"prompt_name": "", "prompt_version": "", "price_status": "list"}
    row = {**cell, "is_evaluation": False, "cost_usd": 1, "reported_cost_usd": 1}
    rows = pd.DataFrame([{**row, "price_book_hash": "older"}])
    home.database.replace_day("usage_daily", PROJECT, DAY, rows)
    project = {"project_id": PROJECT, "name": "p", "key_hash": "k", "base_url": "u"}
    home.database.upsert("project", pd.DataFrame([project | {"server_version": ""}]))
    status, told = finding()
    assert status == "warning"
    assert f"1 days ({DAY} to {DAY})" in told
    (tmp_path / "llmops.yaml").write_text("ledger: {price_file: prices.yaml}")
    (tmp_path / "prices.yaml").write_text("prices: [{match: {model: '('}}]")
    status, told = finding()
    assert status == "error"
    assert "prices.yaml" in told
