"""The way a call was made decides its price: service tiers and batches, however they are told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from llmops_jobs.langfuse.metadata import service_tier
from llmops_jobs.langfuse.usage import normalise
from llmops_jobs.ledger.book import load_book
from tests.facts import facts

WHEN = datetime(2026, 11, 20, 12, tzinfo=UTC)


def cost(model: str, provider: str = "openai", **row: Any) -> dict[str, Any]:
    call = {"input_tokens": 10**6, "output_tokens": 0, "reported_cost_usd": None, **row}
    calls = facts(
        "observations", [{"model": model, "provider": provider, "start_time": WHEN, **call}]
    )
    (priced,) = load_book().price(calls).to_pylist()
    return dict(priced)


@pytest.mark.parametrize(
    ("parameters", "usd"),
    [
        ({}, "1.25"),
        ({"service_tier": "flex"}, "0.625"),
        ({"serviceTier": "priority"}, "2.5"),
        ({"service-tier": "Flex"}, "0.625"),
        ({"processing_tier": "flex"}, "0.625"),
        ({"serviceTier": {"type": "flex"}}, "0.625"),
        ({"extra_body": {"service_tier": "flex"}}, "0.625"),
        ({"batch": True}, "0.625"),
        ({"is_batch": "true"}, "0.625"),
        ({"endpoint": "/v1/batches"}, "0.625"),
        ({"service_tier": "batch"}, "0.625"),
        ({"service_tier": "default"}, "1.25"),
        ({"type": "chat", "serviceTier": None, "extra_body": {"seed": 1}}, "1.25"),
    ],
)
def test_a_tier_is_read_in_every_spelling(parameters: dict[str, Any], usd: str) -> None:
    priced = cost("gpt-5", model_parameters=json.dumps(parameters))
    assert (priced["cost_usd"], priced["issue"]) == (Decimal(usd), "")


@pytest.mark.parametrize(
    ("provider", "model", "parameters"),
    [
        ("openai", "gpt-5", {"service_tier": "scale"}),
        ("anthropic", "claude-sonnet-4-5", {"service_tier": "priority"}),
        ("aws.bedrock", "amazon.nova-pro-v1:0", {"performanceConfig": {"latency": "optimized"}}),
    ],
)
def test_a_tier_without_a_price_is_counted_at_the_ordinary_one_and_named(
    provider: str, model: str, parameters: dict[str, Any]
) -> None:
    ordinary = cost(model, provider)
    priced = cost(model, provider, model_parameters=json.dumps(parameters))
    assert priced["cost_usd"] == ordinary["cost_usd"] > 0
    assert (priced["issue"], ordinary["issue"]) == ("unpriced_tier", "")


def test_a_tier_that_costs_the_same_everywhere_is_no_issue() -> None:
    parameters = json.dumps({"service_tier": "flex"})
    assert cost("llama-3.3-70b-versatile", "groq", model_parameters=parameters)["issue"] == ""


@pytest.mark.parametrize(
    ("metadata", "tier"),
    [
        (r'{"output":"{\"service_tier\":\"flex\"}"}', "flex"),
        ('{"processing_tier":"priority"}', "priority"),
        ('{"batch_id":"batch_68a1"}', "batch"),
        ('{"batchId":"msgbatch_01H"}', "batch"),
        ('{"batch_id":"7"}', ""),
        ('{"request.service_tier":"flex","response.service_tier":"default"}', "default"),
    ],
)
def test_a_tier_that_only_metadata_tells_is_found(metadata: str, tier: str) -> None:
    assert service_tier(metadata) == tier


@pytest.mark.parametrize(
    "usage",
    [
        {
            "candidatesTokenCount": 1304,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
            "promptTokenCount": 10,
            "totalTokenCount": 1314,
        },
        {"input_modality_TEXT": 10, "output": 14, "output_modality_IMAGE": 1290, "total": 1314},
        {"input": 10, "output_image": 1290, "output": 14, "total": 1314},
    ],
)
def test_images_that_a_model_made_cost_what_images_cost(usage: dict[str, Any]) -> None:
    told = json.dumps(usage)
    (counts,) = normalise([told]).to_pylist()
    priced = cost("gemini-2.5-flash-image", "google", usage_details=told, **counts)
    assert priced["cost_usd"] == Decimal("0.038738")  # as genai-prices has it of the same response
