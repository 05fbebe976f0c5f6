"""Models and providers under the names that traces give them."""

from __future__ import annotations

from datetime import date

import pytest

from llmops_jobs.langfuse.providers import provider_of_model
from llmops_jobs.ledger.book import load_book
from llmops_jobs.ledger.bundled import bundled_book


@pytest.mark.parametrize(
    ("provider", "model", "sku"),
    [
        ("openai", "gpt-4o", "openai/gpt-4o"),
        ("OpenAI", "GPT-4o", "openai/gpt-4o"),
        ("openai", "gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("azure.ai.openai", "gpt-4o", "azure/gpt-4o"),
        ("AzureOpenAI", "gpt-4o", "azure/gpt-4o"),
        ("azure", "gpt-35-turbo", "azure/gpt-3.5-turbo"),
        ("gcp.vertex_ai", "gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("gcp.gen_ai", "models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("vertex_ai", "claude-sonnet-4-5", "google/claude-sonnet-4-5"),
        ("aws.bedrock", "amazon.nova-pro-v1:0", "aws/amazon.nova-pro-v1:0"),
        ("x_ai", "grok-4", "x-ai/grok-4-0709"),
        ("litellm", "openai/gpt-4o", "openai/gpt-4o"),
        ("vercel", "anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("openrouter", "openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("", "gpt-4o", "openai/gpt-4o"),
        ("", "azure/gpt-4o", "azure/gpt-4o"),
        ("", "text-embedding-3-small", "openai/text-embedding-3-small"),
        ("", "claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
        ("", "models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("openai", "gpt-5-2025-08-07", "openai/gpt-5"),
        ("", "ft:gpt-4o-mini-2024-07-18:acme::abc123", "openai/ft:gpt-4o-mini"),
        ("anthropic", "claude-opus-4-1-20250805", "anthropic/claude-opus-4-1"),
        ("google", "publishers/google/models/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("groq", "llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        ("", "vertex_ai/gemini-2.5-pro", "google/gemini-2.5-pro"),
        (
            "bedrock",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            "litellm_proxy",
            "bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (" OpenAI ", " gpt-4o ", "openai/gpt-4o"),
        # A client library's name: what OpenAI does not have was asked of somebody else.
        ("openai", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("openai", "anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("openai", "azure/gpt-4o", "azure/gpt-4o"),
        ("", "azure/global-standard/gpt-4o-2024-08-06", "azure/gpt-4o"),
        (
            "deepseek",
            "fireworks_ai/accounts/fireworks/models/deepseek-v4-pro",
            "fireworks/deepseek-v4-pro",
        ),
        ("", "groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("", "perplexity/sonar", "perplexity/sonar"),
        ("", "openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("", "anthropic/claude-haiku-4.5:batch", "openrouter/anthropic/claude-haiku-4.5:batch"),
        ("", "anthropic/claude-3.7-sonnet:beta", "openrouter/anthropic/claude-3.7-sonnet"),
        ("", "openai/gpt-4o:nitro", "openrouter/openai/gpt-4o"),
        ("gcp.vertex_ai", "claude-fable-5@default", "google/claude-fable-5"),
        (
            "",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
            "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
            "aws/regional.anthropic.claude-3-5-sonnet-20241022-v2:0",
        ),
        (
            "",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
            "aws/regional.anthropic.claude-3-haiku-20240307-v1:0",
        ),
    ],
)
def test_a_name_finds_its_entry(provider: str, model: str, sku: str) -> None:
    assert bundled_book().find(provider, model) is not None
    assert bundled_book().sku(provider, model) == sku


def test_bedrock_names_find_bedrock_without_a_provider() -> None:
    found = bundled_book().find("", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert found is not None and found[0].id == "aws"


@pytest.mark.parametrize("provider", ["vllm", "ollama", "my-vLLM-pool", "llama.cpp", "LM Studio"])
def test_own_machines_have_nobodys_list_price(provider: str) -> None:
    assert bundled_book().find(provider, "deepseek-chat") is None
    assert bundled_book().find("", "deepseek-chat") is not None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        # Open weights cost what their host charges.
        ("", "deepseek-ai/DeepSeek-R1"),
        ("deepinfra", "deepseek-ai/DeepSeek-V3.2"),
        ("", "replicate/xai/grok-4"),
        ("my-gateway", "deepseek-v4-pro"),
        ("openai", "openai/gpt-oss-120b"),
        ("openai", "gpt-oss-20b"),
        ("", "google/gemma-3-27b-it"),
        ("gcp.vertex_ai", "gemma-4-26b-a4b-it"),
        ("azure", "deepseek-v3.2"),
        ("", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
        # On one's own machines, by the name alone.
        ("deepseek", "deepseek-r1:14b"),
        ("", "llama3.1:8b-instruct-q4_K_M"),
        ("", "ollama/deepseek-chat"),
        ("openai", "hosted_vllm/deepseek-chat"),
        # One's own models and deployments.
        ("azure", "gpt-4o-eastus"),
        ("openai", "gpt-4o-mini-2024-07-18.ft-0123"),
        ("", "ft:gpt-4.1-2025-04-14:acme::abc"),
        ("", "accounts/acme/models/llama-v3p1-8b-instruct"),
        ("", "arn:aws:bedrock:us-west-2:1:custom-model/amazon.titan-text-lite-v1:0:4k/xyz"),
        ("", "arn:aws:bedrock:us-west-2:1:application-inference-profile/abc"),
        ("", "projects/p/locations/us-central1/endpoints/123456"),
        # Regions with prices of their own; a route to any host; searches beside the tokens.
        ("azure", "azure/eu/gpt-4o"),
        ("bedrock", "bedrock/eu-west-2/meta.llama3-70b-instruct-v1:0"),
        ("bedrock", "bedrock/us-east-1/1-month-commitment/anthropic.claude-v2"),
        ("", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("", "eu.amazon.nova-pro-v1:0"),
        ("", "deepseek/deepseek-r1:nitro"),
        ("", "openai/gpt-4o:online"),
    ],
)
def test_what_no_list_price_holds_for_has_none(provider: str, model: str) -> None:
    assert bundled_book().find(provider, model) is None


@pytest.mark.parametrize(
    "model", ["openai/gpt-oss-20b:free", "deepseek/deepseek-r1:free", "acme/new-model:free"]
)
def test_a_free_route_costs_nothing_and_says_so(model: str) -> None:
    (price,) = load_book().tiers(provider_of_model(model), model, date(2026, 11, 1))
    assert (price.per_unit["input"], price.per_unit["output"]) == (0, 0)
    assert price.price_id == f"openrouter/{model}@always#free"


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "openai"),
        ("azure/gpt-4o", "azure.ai.openai"),
        ("bedrock/us-west-2/amazon.nova-pro-v1:0", "aws.bedrock"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "aws.bedrock"),
        ("us.deepseek.r1-v1:0", "aws.bedrock"),
        ("publishers/google/models/gemini-2.5-flash", "gcp.vertex_ai"),
        ("claude-3-5-sonnet@20240620", "gcp.vertex_ai"),
        ("fireworks_ai/accounts/fireworks/models/deepseek-r1", "fireworks_ai"),
        ("accounts/fireworks/models/gpt-oss-20b", "fireworks_ai"),
        ("groq/llama-3.3-70b-versatile", "groq"),
        ("anthropic/claude-3.5-sonnet:beta", "openrouter"),
        ("@cf/meta/llama-3.1-8b-instruct", "cloudflare"),
        ("ollama/mistral", "ollama"),
        ("deepseek-chat", "deepseek"),
        ("deepseek-r1:14b", ""),
        ("gpt-oss:20b", ""),
        ("google/gemma-3-27b-it", ""),
        ("my-host/deepseek-chat", ""),
    ],
)
def test_a_name_tells_who_serves_the_model(model: str, provider: str) -> None:
    assert provider_of_model(model) == provider


@pytest.mark.parametrize("model", ["", "nobody-knows-it", "/", "(", "a" * 5000, "\x00", "🦙"])
def test_any_name_is_taken(model: str) -> None:
    assert bundled_book().find("", model) is None
    assert bundled_book().find(model, "nobody-knows-it") is None
