"""The models that the demo's application calls: names, speed, prices and usage shapes.

Prices are USD per million tokens, as the providers listed them in 2026 and as the public price
books know them. `usage` names the shape in which the provider's integration reports tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from llmops_jobs.demo.replay.events import Active


@dataclass(frozen=True)
class Model:
    name: str
    response: str
    provider: str  # gen_ai.provider.name
    first_token_s: float  # median
    tokens_per_s: float  # median
    usage: str  # openai, anthropic, google, plain, gateway, embedding
    prices: dict[str, float] = field(default_factory=dict)  # by usage key; {}: unknown to Langfuse
    reasoning: float = 0.0  # share of calls that reason
    mistakes: float = 1.0  # how often answers are bad, against the feature's rate
    pinned: bool = True  # whether the application asks for the dated version

    @property
    def request(self) -> str:
        return self.response if self.pinned else self.name


def _openai(fresh: float, cached: float, out: float) -> dict[str, float]:
    return {
        "input": fresh,
        "input_cached_tokens": cached,
        "output": out,
        "output_reasoning_tokens": out,
    }


def _anthropic(fresh: float, out: float) -> dict[str, float]:
    return {
        "input": fresh,
        "cache_read_input_tokens": fresh * 0.1,
        "input_cache_creation_5m": fresh * 1.25,
        "input_cache_creation_1h": fresh * 2,
        "output": out,
    }


def _google(fresh: float, out: float) -> dict[str, float]:
    return {
        "input": fresh,
        "input_cached_tokens": fresh * 0.1,
        "output": out,
        "thoughts_token_count": out,
    }


MODELS: Final[tuple[Model, ...]] = (
    Model(
        "gpt-5-mini",
        "gpt-5-mini-2025-08-07",
        "openai",
        0.9,
        85,
        "openai",
        _openai(0.25, 0.025, 2),
        reasoning=0.6,
        mistakes=0.8,
    ),
    Model(
        "gpt-4.1",
        "gpt-4.1-2025-04-14",
        "openai",
        0.55,
        70,
        "openai",
        _openai(2, 0.5, 8),
        0,
        0.8,
        pinned=False,
    ),
    Model(
        "gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
        "openai",
        0.45,
        95,
        "openai",
        _openai(0.15, 0.075, 0.6),
        0,
        1.3,
    ),
    Model(
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        "anthropic",
        1.1,
        65,
        "anthropic",
        _anthropic(3, 15),
        0,
        0.6,
    ),
    Model(
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        "anthropic",
        0.6,
        130,
        "anthropic",
        _anthropic(1, 5),
        0,
        0.9,
    ),
    Model(
        "gemini-flash-latest",
        "gemini-2.5-flash",
        "gcp.gemini",
        0.4,
        180,
        "google",
        _google(0.3, 2.5),
        0.5,
        1.0,
        pinned=False,
    ),
    Model(
        "gemini-2.5-pro",
        "gemini-2.5-pro",
        "gcp.gemini",
        2.2,
        110,
        "google",
        _google(1.25, 10),
        0.9,
        0.6,
    ),
    # Langfuse has no price for these two; the public price books do.
    Model(
        "mistral-small-latest",
        "mistral-small-2506",
        "mistral_ai",
        0.35,
        120,
        "plain",
        mistakes=1.2,
        pinned=False,
    ),
    Model(
        "llama-3.3-70b-versatile",
        "llama-3.3-70b-versatile",
        "groq",
        0.2,
        270,
        "plain",
        mistakes=1.3,
    ),
    # The gateway in front of it reports what it charges.
    Model(
        "deepseek-chat",
        "deepseek-chat",
        "deepseek",
        1.0,
        45,
        "gateway",
        {"input": 0.27, "input_cached_tokens": 0.07, "output": 1.1},
    ),
    # On the company's own machines: no book knows it, the demo's price file does.
    Model(
        "qwen3-32b-inhouse",
        "qwen3-32b-inhouse",
        "self-hosted",
        0.3,
        55,
        "plain",
        {"input": 0.12, "output": 0.36},
        0,
        1.4,
    ),
    # Nobody has a price for this one.
    Model("aurora-1-preview", "aurora-1-preview", "aurora", 0.7, 90, "plain", mistakes=1.1),
    Model(
        "text-embedding-3-small",
        "text-embedding-3-small",
        "openai",
        0.12,
        0,
        "embedding",
        {"total": 0.02},
    ),
    Model(
        "gpt-5-nano",
        "gpt-5-nano-2025-08-07",
        "openai",
        0.7,
        120,
        "openai",
        _openai(0.05, 0.005, 0.4),
        reasoning=0.4,
    ),
)

CODE: Final[dict[str, int]] = {model.name: code for code, model in enumerate(MODELS)}

# What answers behind the alias after the silent swap.
SWAPPED: Final = Model(
    "gemini-flash-latest",
    "gemini-3-flash-preview",
    "gcp.gemini",
    0.75,
    120,
    "google",
    _google(0.5, 3),
    0.8,
    0.9,
    pinned=False,
)

# Until its contract ended, this one cost 20 % less than the list.
CONTRACT_MODEL: Final = "claude-haiku-4-5"
CONTRACT_PRICES: Final = _anthropic(0.8, 4)


def models_on(event: Active) -> list[Model]:
    """The models as they answer and cost on a day."""
    models = list(MODELS)
    if event("model-swap"):
        models[CODE["gemini-flash-latest"]] = SWAPPED
    if not event("price-change"):
        code = CODE[CONTRACT_MODEL]
        models[code] = replace(models[code], prices=CONTRACT_PRICES)
    return models
