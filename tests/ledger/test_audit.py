"""Every difference from the source's cost has a cause, and the differences sum to the whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from llmops_jobs.config import load
from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import files
from llmops_jobs.ledger.audit import CAUSES, audit
from llmops_jobs.ledger.book import PriceBook, load_book
from llmops_jobs.ledger.daily import audit_days
from llmops_jobs.ledger.settings import LedgerSettings
from tests.facts import DAY, facts

NOVEMBER = datetime(2026, 11, 2, tzinfo=UTC)


def audited(book: PriceBook, *rows: dict[str, Any]) -> pd.DataFrame:
    observations = facts("observations", rows)
    return audit(book, [(observations, book.price(observations))], 0.001)


def cause(book: PriceBook, usd: str | None, **row: Any) -> str:
    reported = None if usd is None else Decimal(usd)
    details = "{}" if usd is None else json.dumps({"total": float(usd)})
    known = {"model": "gpt-4o", "reported_cost_usd": reported, "cost_details": details}
    told = audited(book, {**known, "input_tokens": 1_000_000, "output_tokens": 0, **row})
    assert len(told) == 1
    assert told["difference_usd"][0] == told["cost_usd"][0] - told["reported_cost_usd"][0]
    return str(told["cause"][0])


@pytest.mark.parametrize(
    ("usd", "row", "expected"),
    [
        ("2.5", {}, "agreed"),
        (None, {}, "missing_price"),
        ("3", {"model": "mystery"}, "missing_price_here"),
        (None, {"model": "mystery"}, "unpriced"),
        ("2.5", {"cost_details": '{"input": 2.5}'}, "missing_total"),
        ("2.5", {"level": "ERROR", "input_tokens": 0}, "failed_calls"),
        (None, {"level": "ERROR", "input_tokens": 0}, "agreed"),
        ("2.5", {"cache_read_tokens": 400_000}, "ignored_cache"),
        ("3", {"cache_read_tokens": 400_000}, "overlapping_buckets"),
        ("5", {"usage_issue": "overlap"}, "overlapping_buckets"),
        ("20", {"output_tokens": 1_000_000, "usage_issue": "below_total"}, "incomplete_tokens"),
        ("2.5", {"usage_details": '{"web_search_queries": 9}'}, "ignored_extras"),
        ("17", {}, "other_price"),
        (
            "1.25",
            {"model": "gpt-5", "model_parameters": '{"batch": true}', "start_time": NOVEMBER},
            "ignored_tier",
        ),
        (
            "1.25",
            {"model": "gemini-2.5-pro", "provider": "google"},
            "ignored_tier",
        ),
    ],
)
def test_a_difference_has_its_cause(usd: str | None, row: dict[str, Any], expected: str) -> None:
    assert cause(load_book(), usd, **row) == expected
    assert expected in CAUSES


def test_the_sources_old_price_and_the_own_contract_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        """
        prices:
          - {match: {model: m}, to: 2026-02-01, per_million_tokens: {input: 8}}
          - {match: {model: m}, from: 2026-02-01, per_million_tokens: {input: 4}}
          - {match: {model: gpt-4o}, discount: 0.3}
        """
    )
    book = load_book(LedgerSettings(price_file=str(path)))
    assert cause(book, "8", model="m") == "frozen_price"
    assert cause(book, "4", model="m") == "agreed"
    assert cause(book, "2.5", model="gpt-4o") == "own_price"


def test_a_gateways_fee_is_one_multiple_of_many_calls() -> None:
    rows = [
        {"input_tokens": 1000 * n, "output_tokens": 0, "reported_cost_usd": Decimal(n) * fee}
        for n in range(1, 13)
        for fee in [Decimal("0.00015") * Decimal("1.055")]
    ]
    assert set(audited(load_book(), *rows)["cause"]) == {"fixed_share"}
    assert set(audited(load_book(), *rows[:3])["cause"]) == {"other_price"}


def test_cost_on_rows_that_are_no_model_calls_is_told_and_not_counted() -> None:
    span = {"is_model_call": False, "type": "SPAN", "model": "", "reported_cost_usd": Decimal(2)}
    told = audited(load_book(), {}, span).set_index("cause")
    assert told.loc["not_a_model_call", "difference_usd"] == Decimal(-2)
    assert told.loc["agreed", "requests"] == 1


def test_differences_sum_to_our_spend_minus_the_sources() -> None:
    rows = [
        {"model": model, "reported_cost_usd": usd, "input_tokens": tokens}
        for model in ("gpt-4o", "mystery", "")
        for usd in (None, Decimal("0.1"), Decimal("0.000000000001"))
        for tokens in (0, 1000, -4)
    ]
    observations = facts("observations", rows)
    costs = load_book().price(observations)
    told = audit(load_book(), [(observations, costs)], 0.001)
    ours = sum(usd or 0 for usd in costs["cost_usd"].to_pylist())
    theirs = sum(usd or 0 for usd in observations["reported_cost_usd"].to_pylist())
    assert sum(told["difference_usd"]) == ours - theirs
    assert told["requests"].sum() == len(rows)


@pytest.mark.parametrize("in_order", [True, False])
def test_a_day_audited_in_parts_has_the_causes_of_the_whole_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    home = Deployment(load())
    fee = Decimal("0.00015") * Decimal("1.055")
    rows = [
        *({"model": "mystery", "reported_cost_usd": Decimal(n)} for n in range(3)),
        # A fee: twelve calls share it, and no part holds more than four of them.
        *(
            {"input_tokens": 1000 * n, "output_tokens": 0, "reported_cost_usd": n * fee}
            for n in range(1, 13)
        ),
        {"is_model_call": False, "type": "SPAN", "model": "", "reported_cost_usd": Decimal(2)},
        *({"input_tokens": 1000 * n, "reported_cost_usd": None} for n in range(5)),
    ]
    observations = facts("observations", rows)
    costs = load_book().price(observations)
    home.lake.replace_day("observations", "p", DAY, observations)
    home.lake.replace_day(
        "costs", "p", DAY, costs if in_order else costs.take(pa.array(range(19, -1, -1)))
    )
    told = [list(audit_days(home, "p", [DAY])), home.database.table("cost_audit", "p")]
    monkeypatch.setattr(files, "parts", partial(files.parts, rows_at_once=4))
    again = [list(audit_days(home, "p", [DAY])), home.database.table("cost_audit", "p")]
    assert again[0] == told[0]
    pd.testing.assert_frame_equal(again[1], told[1])
    counts = told[1].groupby("cause")["requests"].sum()
    assert counts["fixed_share"] == 12
    assert counts["not_a_model_call"] == 1
    assert counts.sum() == len(rows)


def test_an_empty_day_is_audited(tmp_path: Path) -> None:
    assert audited(load_book()).empty
