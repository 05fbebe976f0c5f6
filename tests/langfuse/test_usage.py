"""Token counts of every family of usage keys become the same inclusive columns."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.langfuse.usage import flatten, normalise, slot_of


def count(usage: dict[str, Any]) -> dict[str, Any]:
    """The counts that are not 0, and the issue where there is one."""
    row = normalise([json.dumps(usage)]).to_pylist()[0]
    return {key.removesuffix("_tokens"): value for key, value in row.items() if value}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            {"input": 200, "input_cached_tokens": 800, "output": 100, "total": 1100},
            {"input": 1000, "cache_read": 800, "output": 100},
            id="langfuse: exclusive buckets are added up",
        ),
        pytest.param(
            {"input": 179, "output": 35, "total": 278, "output_reasoning": 64},
            {"input": 179, "output": 99, "reasoning": 64},
            id="langfuse: exclusive reasoning",
        ),
        pytest.param(
            {"input": 6, "output": 2055, "completion_details.reasoning": 1104, "total": 2061},
            {"input": 6, "output": 2055, "reasoning": 1104},
            id="openinference: a dotted detail is a part",
        ),
        pytest.param(
            {
                "input_tokens": 10,
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 90,
                "cache_creation.ephemeral_5m_input_tokens": 60,
                "cache_creation.ephemeral_1h_input_tokens": 30,
                "output_tokens": 50,
            },
            {"input": 1000, "cache_read": 900, "cache_write": 90, "cache_write_1h": 30}
            | {"output": 50},
            id="anthropic: tiers are a breakdown of what was written",
        ),
        pytest.param(
            {"input": 10, "input_cache_creation_5m": 60, "input_cache_creation_1h": 30},
            {"input": 100, "cache_write": 90, "cache_write_1h": 30},
            id="langfuse: tiers alone are added up",
        ),
        pytest.param(
            {
                "inputTokens": 10,
                "cacheReadInputTokens": 5,
                "cacheReadInputTokenCount": 5,
                "outputTokens": 1,
                "totalTokens": 16,
            },
            {"input": 15, "cache_read": 5, "output": 1},
            id="bedrock: two spellings of one count",
        ),
        pytest.param(
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "toolUsePromptTokenCount": 7,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 157,
            },
            {"input": 107, "cache_read": 40, "output": 50, "reasoning": 30},
            id="google: cached is a part, thoughts are not",
        ),
        pytest.param(
            {
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.cache_read.input_tokens": 40,
                "gen_ai.usage.output_tokens": 50,
                "gen_ai.usage.reasoning.output_tokens": 30,
            },
            {"input": 100, "cache_read": 40, "output": 50, "reasoning": 30},
            id="opentelemetry: inclusive",
        ),
        pytest.param(
            {
                "prompt_tokens": 12,
                "completion_tokens": 2,
                "completion_tokens_details.reasoning_tokens": 300,
                "total_tokens": 314,
            },
            {"input": 12, "output": 302, "reasoning": 300},
            id="xai: reasoning beside completion, as the provider's total says",
        ),
        pytest.param(
            {"input": 10, "input_audio": 5, "output": 3, "output_audio": 2, "input_image": 4},
            {"input": 19, "input_audio": 5, "output": 5, "output_audio": 2, "input_image": 4},
            id="langfuse: modalities are buckets",
        ),
        pytest.param(
            {"input": 0, "input_modality_TEXT": 30, "output": 1, "total": 31},
            {"input": 30, "output": 1},
            id="langchain on vertex: everything under a modality",
        ),
        pytest.param({"prompt_tokens": 9, "total_tokens": 9}, {"input": 9}, id="embedding"),
        pytest.param({"total": 9}, {"input": 9, "usage_issue": "only_total"}, id="total alone"),
        pytest.param({"web_search_queries": 3, "cost": 0.1}, {}, id="no token count at all"),
    ],
)
def test_usage_of_each_family_is_counted_inclusively(
    usage: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert count(usage) == expected


def test_an_inclusive_input_beside_a_cache_bucket_is_marked_and_not_counted_twice() -> None:
    found = count({"input": 1000, "input_cached_tokens": 800, "output": 100, "total": 1100})
    assert found == {"input": 1000, "cache_read": 800, "output": 100, "usage_issue": "overlap"}


def test_parts_that_do_not_reach_the_total_are_marked() -> None:
    found = count({"input": 5, "output": 845, "total": 2023})
    assert found == {"input": 5, "output": 845, "usage_issue": "below_total"}


@pytest.mark.parametrize(
    ("value", "issue"),
    [(-3, "negative"), ("NaN", "not_a_number"), (True, "not_a_number"), (1e15, "too_large")],
)
def test_an_impossible_count_is_left_out_and_named(value: Any, issue: str) -> None:
    assert count({"input": value, "output": 7}) == {"output": 7, "usage_issue": issue}


def test_no_usage_is_null_and_an_unreadable_one_is_marked() -> None:
    rows = normalise(["{}", None, "null", '{"input":'])
    assert rows["input_tokens"].to_pylist() == [None] * 4
    assert rows["usage_issue"].to_pylist() == ["", "", "", "unreadable"]


def test_nested_usage_is_flattened() -> None:
    nested = {"a": {"b": 1, "c": None}, "d": [{"modality": "TEXT", "tokenCount": 2}], "e": "x"}
    assert flatten(nested) == {"a.b": 1, "a.c": None, "d.TEXT": 2}


def test_the_slot_of_a_key_does_not_depend_on_its_spelling() -> None:
    for key in ("cache_read_input_tokens", "cacheReadInputTokens", "input_cache_read"):
        assert slot_of(key) == "read_x"


# Usage that genai-prices 0.2 does not read: Mistral's count of cached tokens.
_UNKNOWN_THERE = "num_cached_tokens"


def test_real_provider_usages_agree_with_an_independent_reading(
    shared: Callable[[str], Path],
) -> None:
    """Each usage as a provider sent it, against what genai-prices extracts from the same bytes."""
    with gzip.open(shared("data/provider_usages/usages.json.gz")) as file:
        recorded = json.load(file)
    bodies = [row["body"] for row in recorded]
    usages = [b.get("usage") or b.get("usageMetadata") or b.get("meta") or {} for b in bodies]
    found = normalise([json.dumps(usage) for usage in usages]).to_pylist()
    ours = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    differing = []
    compared = 0
    for row, usage, counts in zip(recorded, usages, found, strict=True):
        readings = [one["usage"] for one in row["extracted"]]
        if not readings or _UNKNOWN_THERE in usage:
            continue
        compared += 1
        richest = max(readings, key=len)
        # An extractor of another API's shape may know less of the same usage.
        if not any(
            all(reading.get(name, 0) == (counts[name] or 0) for name in ours)
            for reading in (richest, *readings)
        ):
            differing.append((usage, counts, richest))
    assert compared > 700
    assert not differing
