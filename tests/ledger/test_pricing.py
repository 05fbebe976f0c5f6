"""Tokens times prices: exactly, with a status and a reason for every call."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.ledger.book import PriceBook, load_book
from llmops_jobs.ledger.settings import LedgerSettings
from tests.facts import facts


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_book()


def own(tmp_path: Path, text: str) -> PriceBook:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    return load_book(LedgerSettings(price_file=str(path)))


def priced(book: PriceBook, **row: Any) -> dict[str, Any]:
    (cost,) = book.price(facts("observations", [row])).to_pylist()
    return cost


def test_tokens_times_the_list_price_is_exact(book: PriceBook) -> None:
    cost = priced(book, model="gpt-4o-mini", input_tokens=1000, output_tokens=200)
    assert cost["cost_usd"] == Decimal("0.00027")  # 0.15 and 0.60 dollars a million
    assert cost["price_status"] == "list"
    assert cost["price_id"].startswith("openai/gpt-4o-mini@")
    assert cost["price_book_hash"] == book.hash
    assert cost["issue"] == ""


def test_cached_tokens_are_charged_once_and_at_their_own_price(book: PriceBook) -> None:
    cost = priced(book, model="gpt-4o", input_tokens=1_000_000, cache_read_tokens=400_000)
    assert cost["input_usd"] == Decimal("1.5")
    assert cost["cache_read_usd"] == Decimal("0.5")


def test_cache_writes_of_an_hour_cost_more_than_those_of_five_minutes(book: PriceBook) -> None:
    row = {"model": "claude-3-5-haiku-latest", "provider": "anthropic"}
    row |= {"input_tokens": 1_000_000, "output_tokens": 0}
    short = priced(book, **row, cache_write_tokens=1_000_000)
    long = priced(book, **row, cache_write_tokens=1_000_000, cache_write_1h_tokens=1_000_000)
    assert (short["cost_usd"], long["cost_usd"]) == (Decimal(1), Decimal("1.6"))


def test_a_long_context_is_charged_at_its_tier(book: PriceBook) -> None:
    row = {"model": "gemini-2.5-pro", "provider": "google", "output_tokens": 0}
    short = priced(book, **row, input_tokens=200_000)
    long = priced(book, **row, input_tokens=200_001)
    assert short["cost_usd"] == Decimal("0.25")
    assert long["cost_usd"] == Decimal("0.5000025")
    assert long["price_id"].endswith(">200000")


def test_service_tier_and_batch_have_their_own_prices(book: PriceBook) -> None:
    row = {"model": "gpt-5", "start_time": datetime(2026, 11, 1, tzinfo=UTC)}
    row |= {"input_tokens": 1_000_000, "output_tokens": 0}
    plain = priced(book, **row)
    flex = priced(book, **row, model_parameters='{"service_tier": "flex"}')
    batch = priced(book, **row, model_parameters='{"batch": true}')
    assert plain["cost_usd"] == Decimal("1.25")
    assert flex["cost_usd"] == batch["cost_usd"] == Decimal("0.625")
    assert flex["price_id"].endswith("#service_tier=flex")


def test_the_price_of_the_calls_own_day_holds(tmp_path: Path) -> None:
    book = own(
        tmp_path,
        """
        prices:
          - {match: {model: house}, to: 2026-03-01, per_million_tokens: {input: 1, output: 1}}
          - {match: {model: house}, from: 2026-03-01, per_million_tokens: {input: 2, output: 2}}
        """,
    )
    row = {"model": "house", "input_tokens": 1_000_000, "output_tokens": 0}
    before = priced(book, **row, start_time=datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    after = priced(book, **row, start_time=datetime(2026, 3, 1, tzinfo=UTC))
    assert (before["cost_usd"], after["cost_usd"]) == (Decimal(1), Decimal(2))
    assert before["price_status"] == "override"


def test_the_own_file_wins_over_the_bundled_book_and_changes_the_hash(tmp_path: Path) -> None:
    book = own(
        tmp_path,
        "prices: [{match: {model: gpt-4o}, per_million_tokens: {input: 1, output: 4}}]",
    )
    cost = priced(book, model="gpt-4o", input_tokens=1_000_000, output_tokens=0)
    assert (cost["cost_usd"], cost["price_status"]) == (Decimal(1), "override")
    assert priced(book, model="gpt-4o-mini")["price_status"] == "list"
    assert book.hash != load_book().hash


def test_a_discount_is_taken_off_the_list_price(tmp_path: Path) -> None:
    book = own(tmp_path, "prices: [{match: {model: 'gpt-4o'}, discount: 0.2}]")
    cost = priced(book, model="gpt-4o", input_tokens=1_000_000, output_tokens=1_000_000)
    assert cost["cost_usd"] == Decimal(10)  # 80 % of 2.50 + 10.00


def test_prices_in_another_currency_are_turned_into_dollars(tmp_path: Path) -> None:
    entry = "{match: {model: m}, currency: EUR, usd_rate: 1.1, per_million_tokens: {input: 2}}"
    text = f"prices: [{entry}]"
    cost = priced(own(tmp_path, text), model="m", input_tokens=1_000_000, output_tokens=0)
    assert cost["cost_usd"] == Decimal("2.2")


def test_requests_and_tool_calls_are_charged_by_the_piece(tmp_path: Path) -> None:
    book = own(
        tmp_path,
        """
        prices:
          - match: {model: m}
            per_million_tokens: {input: 0, output: 0}
            per_request: 0.002
            per_piece: {web_search: 0.01}
        """,
    )
    cost = priced(book, model="m", usage_details='{"input": 1, "web_search_queries": 3}')
    assert cost["cost_usd"] == cost["other_usd"] == Decimal("0.032")


def test_reasoning_is_charged_as_output_once(book: PriceBook) -> None:
    plain = priced(book, model="o3-mini", output_tokens=1000)
    thinking = priced(book, model="o3-mini", output_tokens=1000, reasoning_tokens=900)
    assert thinking["cost_usd"] == plain["cost_usd"]


def test_audio_has_its_own_price_and_is_not_charged_as_text(book: PriceBook) -> None:
    row = {"model": "gpt-audio", "input_tokens": 1_000_000, "output_tokens": 0}
    text = priced(book, **row)
    audio = priced(book, **row, input_audio_tokens=1_000_000)
    assert audio["input_usd"] == 0
    assert audio["other_usd"] > text["cost_usd"] > 0


@pytest.mark.parametrize(
    ("row", "status", "issue"),
    [
        ({"model": "nobody-knows-it"}, "unpriced", "missing_price"),
        ({"model": ""}, "unpriced", "missing_model"),
        ({"input_tokens": 0, "output_tokens": 0}, "unpriced", "missing_usage"),
        ({"input_tokens": -1}, "unpriced", "negative_tokens"),
        ({"input_tokens": 2**60}, "unpriced", "implausible_tokens"),
        ({"cache_read_tokens": 1001}, "list", "overlapping_tokens"),
        ({"usage_issue": "negative"}, "unpriced", "negative_tokens"),
        ({"usage_issue": "below_total,overlap"}, "list", "overlapping_tokens"),
        ({"usage_issue": "only_total"}, "list", "incomplete_tokens"),
        ({"model": "gpt-4o", "provider": "vllm"}, "unpriced", "missing_price"),
    ],
)
def test_what_cannot_be_priced_says_so(
    book: PriceBook, row: dict[str, Any], status: str, issue: str
) -> None:
    cost = priced(book, **{"request_model": "", "reported_cost_usd": None, **row})
    assert (cost["price_status"], cost["issue"]) == (status, issue)
    assert (cost["cost_usd"] is None) == (status == "unpriced")


def test_the_sources_cost_is_taken_where_there_is_no_price(book: PriceBook) -> None:
    cost = priced(book, model="mystery", reported_cost_usd=Decimal("0.123456789012"))
    assert (cost["cost_usd"], cost["price_status"]) == (Decimal("0.123456789012"), "reported")
    assert cost["other_usd"] == cost["cost_usd"]
    assert cost["issue"] == "missing_price"


def test_a_failed_call_that_used_nothing_costs_nothing(book: PriceBook) -> None:
    row = {"level": "ERROR", "input_tokens": 0, "output_tokens": 0, "reported_cost_usd": None}
    for model in ("gpt-4o", "mystery"):
        cost = priced(book, **row, model=model)
        assert (cost["cost_usd"], cost["price_status"], cost["issue"]) == (0, "list", "")


def test_off_peak_hours_are_charged_off_peak(book: PriceBook) -> None:
    row = {"model": "deepseek-v4-pro", "provider": "deepseek", "output_tokens": 0}
    row |= {"input_tokens": 1_000_000}
    day = datetime(2026, 10, 1, tzinfo=UTC)
    rows = [{**row, "start_time": day.replace(hour=hour)} for hour in (0, 2, 5, 7, 12)]
    costs = book.price(facts("observations", rows))["cost_usd"].to_pylist()
    assert costs[1] == costs[3] and costs[0] == costs[2] == costs[4]
    assert costs[0] != costs[1]


def test_components_sum_to_the_cost(book: PriceBook) -> None:
    row = {"model": "claude-sonnet-4-5", "provider": "anthropic", "input_tokens": 12_345}
    row |= {"cache_read_tokens": 777, "cache_write_tokens": 333, "output_tokens": 17}
    cost = priced(book, **row)
    parts = ("input_usd", "cache_read_usd", "cache_write_usd", "output_usd", "other_usd")
    assert sum(cost[name] for name in parts) == cost["cost_usd"] > 0


def test_only_model_calls_are_priced(book: PriceBook) -> None:
    rows = facts("observations", [{}, {"is_model_call": False, "type": "SPAN"}])
    assert book.price(rows).num_rows == 1
    assert book.price(rows.slice(0, 0)).num_rows == 0


def test_a_price_can_be_asked_for(book: PriceBook) -> None:
    day = date(2026, 3, 4)
    assert book.unit_price("openai", "gpt-4o", day, "cache_read") == Decimal("1.25")
    assert book.unit_price("openai", "gpt-4o", day, "reasoning") == Decimal(10)
    assert book.unit_price("openai", "gpt-4o", day, "web_search") == Decimal("0.01")
    assert book.unit_price("", "nobody-knows-it", day, "input") is None
    with pytest.raises(ValueError, match="cache_read"):
        book.unit_price("openai", "gpt-4o", day, "tokens")
