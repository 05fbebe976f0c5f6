"""Models and providers under the names that traces give them."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("model", ["", "nobody-knows-it", "/", "(", "a" * 5000, "\x00", "🦙"])
def test_any_name_is_taken(model: str) -> None:
    assert bundled_book().find("", model) is None
    assert bundled_book().find(model, "nobody-knows-it") is None
