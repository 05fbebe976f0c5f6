"""Prices and usages that others published: real provider responses and three real price books."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_jobs.ledger.book import PriceBook, load_book
from llmops_jobs.ledger.settings import LedgerSettings
from tests.facts import facts

TAKEN = date(2026, 8, 21)  # when the books and the expected prices were published
NOON = datetime(2026, 8, 21, 12, tzinfo=UTC)
Shared = Callable[[str], Path]


def read(path: Path) -> Any:
    with gzip.open(path) as file:
        return json.load(file)


def femto(usd_per_token: float) -> int:
    return round(Decimal(repr(usd_per_token)) * 10**15)


def call(provider: str, model: str, usage: dict[str, int]) -> dict[str, Any]:
    """A call of the lake from usage in genai-prices' names."""
    details = ("web_searches", "output_image_tokens", "input_video_tokens")
    cached = sum(
        n for k, n in usage.items() if k.startswith("cache_") and k.endswith("read_tokens")
    )
    return {
        "provider": provider,
        "model": model,
        "start_time": NOON,
        "input_tokens": usage.get("input_tokens", 0),
        "output_tokens": usage.get("output_tokens", 0),
        "cache_read_tokens": usage.get("cache_read_tokens", cached),
        "cache_write_tokens": usage.get("cache_write_tokens", 0),
        "cache_write_1h_tokens": usage.get("cache_write_1h_tokens", 0),
        "reasoning_tokens": usage.get("output_reasoning_tokens", 0),
        "input_audio_tokens": usage.get("input_audio_tokens", 0),
        "input_image_tokens": usage.get("input_image_tokens", 0),
        "usage_details": json.dumps({key: usage[key] for key in details if key in usage}),
        "reported_cost_usd": None,
    }


def test_real_responses_cost_what_others_expect(shared: Shared) -> None:
    """795 provider responses under every provider that sells the model."""
    from genai_prices import Usage, calc_price

    calls, expected, usages = [], [], []
    for row in read(shared("data/provider_usages/usages.json.gz")):
        for extracted in row.get("extracted", []):
            for seller in extracted["extractors"]:
                if "input_price" in seller:
                    model = row.get("model") or row["body"]["model"]
                    calls.append(call(seller["provider_id"], model, extracted["usage"]))
                    usages.append(extracted["usage"])
                    expected.append(
                        Decimal(seller["input_price"]) + Decimal(seller["output_price"])
                    )
    costs = load_book().price(facts("observations", calls)).to_pylist()
    same = 0
    for cost, price, row, usage in zip(costs, expected, calls, usages, strict=True):
        library = calc_price(
            Usage(**usage),
            row["model"],
            provider_id=row["provider"],
            genai_request_timestamp=NOON,
        )
        if cost["price_status"] == "unpriced":
            # A subscription is not free, and not known; OpenAI and Azure sell no gpt-oss at the
            # price that the library has of it.
            assert (row["provider"], library.total_price) == ("cerebras", 0) or (
                "gpt-oss" in row["model"]
            )
            continue
        if row["model"].endswith(":free"):
            assert cost["cost_usd"] == 0 and cost["price_id"].endswith("#free")
            continue
        assert cost["cost_usd"] == pytest.approx(library.total_price, abs=Decimal("1e-11")), row
        same += abs(cost["cost_usd"] - price) < Decimal("1e-9")
    # The rest are prices that the book has corrected since, and searches, which are no token price.
    assert len(calls) > 1700
    assert same / len(calls) > 0.96


def test_the_book_agrees_with_two_others_of_the_same_day(shared: Shared) -> None:
    book = load_book()
    agreed: Counter[tuple[str, bool]] = Counter()
    for name, entry in read(shared("data/prices/litellm_model_prices.json.gz")).items():
        provider = entry.get("litellm_provider")
        if provider not in ("openai", "anthropic") or entry.get("mode") != "chat":
            continue
        tiers = book.tiers(provider, name.split("/")[-1], TAKEN) if "ft:" not in name else ()
        if tiers:
            prices = [femto(entry[f"{side}_cost_per_token"]) for side in ("input", "output")]
            agreed[provider, prices == [tiers[0].per_unit[k] for k in ("input", "output")]] += 1
    assert agreed["openai", True] > 70 and agreed["anthropic", True] > 15
    assert agreed["openai", False] == agreed["anthropic", False] == 0

    langfuse: Counter[bool] = Counter()
    for entry in read(shared("data/prices/langfuse_default_model_prices.json.gz")):
        prices = next(tier["prices"] for tier in entry["pricingTiers"] if tier["isDefault"])
        tiers = book.tiers("", entry["modelName"], TAKEN)
        if tiers and "input" in prices:
            langfuse[tiers[0].per_unit.get("input") == femto(prices["input"])] += 1
    assert langfuse[True] / langfuse.total() > 0.95


def test_no_name_of_another_book_is_priced_wrong_in_silence(shared: Shared) -> None:
    """Every model name of LiteLLM's book, as a trace would have it: where ours differs from
    LiteLLM's price and from Langfuse's, the list prices themselves do."""
    from llmops_jobs.langfuse.providers import provider_of_model, short_model

    book = load_book()
    langfuse = [
        (
            re.compile(entry["matchPattern"].replace("(?i)", ""), re.IGNORECASE),
            next(tier["prices"] for tier in entry["pricingTiers"] if tier["isDefault"]),
        )
        for entry in read(shared("data/prices/langfuse_default_model_prices.json.gz"))
    ]
    told: Counter[str] = Counter()
    differing = []
    for name, entry in read(shared("data/prices/litellm_model_prices.json.gz")).items():
        prices = [entry.get(f"{side}_cost_per_token") for side in ("input", "output")]
        tiers = book.tiers(provider_of_model(name), short_model(name), TAKEN, second=43_200)
        if not tiers or prices[0] is None:
            told["unpriced"] += not tiers
            continue
        ours = [tiers[0].per_unit.get(side, 0) for side in ("input", "output")]
        other = next((p for pattern, p in langfuse if pattern.search(name)), None)
        near = [
            any(abs(mine - femto(usd)) <= 0.01 * femto(usd) for usd in (theirs or 0, second or 0))
            for mine, theirs, second in zip(
                ours,
                prices,
                (other.get("input"), other.get("output")) if other else prices,
                strict=True,
            )
        ]
        told["same" if all(near) else "different"] += 1
        if other and not all(near):
            differing.append(name)
    # On-demand calls inside a region, which cost a tenth more than the global ones of the others.
    assert all(name.startswith(("anthropic.", "bedrock/")) for name in differing), differing
    assert told["same"] > 1_100
    assert told["different"] < 0.13 * told["same"], told


def test_two_vintages_of_a_book_price_each_day_by_its_own(shared: Shared, tmp_path: Path) -> None:
    old = read(shared("data/prices/tokencost_model_prices_2025-08.json.gz"))
    new = read(shared("data/prices/litellm_model_prices.json.gz"))
    sides = ("input_cost_per_token", "output_cost_per_token")
    changed = {
        name: (old[name], new[name])
        for name in sorted(set(old) & set(new))
        if all(isinstance(book[name].get(side), float) for book in (old, new) for side in sides)
        and any(old[name][side] != new[name][side] for side in sides)
    }
    assert len(changed) > 50
    book = _dated(tmp_path, changed)
    calls = [
        {"model": name, "provider": "", "start_time": start, "input_tokens": 10**6}
        for name in changed
        for start in (datetime(2026, 3, 31, 23, 59, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    ]
    costs = book.price(facts("observations", [{**c, "output_tokens": 10**6} for c in calls]))
    priced = iter(costs["cost_usd"].to_pylist())
    for before, after in changed.values():
        for entry in (before, after):
            total = sum(Decimal(femto(entry[side])) / 10**9 for side in sides)
            assert next(priced) == total
    assert set(costs["price_status"].to_pylist()) == {"override"}


def _dated(tmp_path: Path, changed: dict[str, tuple[dict[str, Any], dict[str, Any]]]) -> PriceBook:
    entries = []
    for name, vintages in changed.items():
        for entry, bound in zip(vintages, ("to", "from"), strict=True):
            usd = {
                kind: str(Decimal(femto(entry[f"{kind}_cost_per_token"])) / 10**9)
                for kind in ("input", "output")
            }
            entries.append(
                {
                    "match": {"model": re.escape(name)},
                    bound: date(2026, 4, 1),
                    "per_million_tokens": usd,
                }
            )
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump({"prices": entries}))
    return load_book(LedgerSettings(price_file=str(path)))


def test_a_mix_of_tokens_is_priced_on_days_to_come(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "prices.yaml"
    path.write_text(
        """
        prices:
          - {match: {model: gpt-4o}, from: 2027-01-01,
             per_million_tokens: {input: 1, cache_read: 0.5, output: 4}}
        """
    )
    book = load_book(LedgerSettings(price_file=str(path)))
    mix = pd.DataFrame(
        {
            "provider": ["openai", "openai"],
            "model": ["gpt-4o", "mystery"],
            "requests": [4_000_000, 1],
            "input_tokens": [3_000_000_000, 5],
            "cache_read_tokens": [1_000_000_000, 0],
            "output_tokens": [1_000_000_000, 5],
        }
    )
    days = [date(2026, 12, 31), date(2027, 1, 1)]
    told = book.blended(mix, days).set_index(["model", "day"])
    assert told.loc[("gpt-4o", days[0]), "cost_usd"] == 5000 + 1250 + 10_000
    assert told.loc[("gpt-4o", days[1]), "cost_usd"] == 2000 + 500 + 4000
    assert told.loc[("gpt-4o", days[1]), "usd_per_million_tokens"] == 1.625
    assert told.loc["mystery"]["cost_usd"].isna().all()
