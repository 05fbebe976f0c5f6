"""The application whose traffic is replayed: a support product with six features.

What is fixed lies here: features, tenants, environments, prompts and their rollout, releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from llmops_jobs.demo.replay.catalogue import CODE
from llmops_jobs.demo.replay.events import Active

PROJECT_ID: Final = "demo-support"
SERVICE: Final = "support-assistant"


@dataclass(frozen=True)
class Feature:
    name: str
    weight: float  # of the requests
    models: tuple[str, ...]  # by rank of use
    lengths: str  # chat or document: which measured lengths
    root: str  # observation type of the root; "" when the call itself is the root
    call: str  # name of the model call
    prompt: str  # Langfuse prompt, "" when none
    streams: bool
    propagates: bool = True  # whether child rows carry user, session, tags and trace name


FEATURES: Final[tuple[Feature, ...]] = (
    Feature(
        "chat",
        0.32,
        ("gpt-5-mini", "gpt-4o-mini", "gemini-flash-latest", "deepseek-chat", "aurora-1-preview"),
        "chat",
        "SPAN",
        "chat-completion",
        "chat",
        True,
    ),
    Feature(
        "rag-answer",
        0.28,
        ("claude-haiku-4-5", "gpt-4.1", "gemini-flash-latest", "qwen3-32b-inhouse"),
        "chat",
        "CHAIN",
        "answer",
        "rag-answer",
        True,
    ),
    Feature(
        "extract-json",
        0.14,
        ("gpt-4o-mini", "qwen3-32b-inhouse", "gemini-2.5-pro"),
        "chat",
        "SPAN",
        "extract",
        "extract-json",
        False,
    ),
    Feature(
        "summarise",
        0.12,
        ("mistral-small-latest", "gpt-4o-mini", "llama-3.3-70b-versatile"),
        "document",
        "SPAN",
        "summarise-text",
        "summarise",
        False,
        propagates=False,
    ),
    Feature(
        "agent-tools",
        0.09,
        ("claude-sonnet-4-5", "gpt-4.1"),
        "document",
        "SPAN",
        "agent-step",
        "agent-tools",
        True,
    ),
    Feature("embed-batch", 0.05, ("text-embedding-3-small",), "chat", "", "embed", "", False),
    # Langfuse's own judge: evaluation overhead, not one of the product's features.
    Feature("judge-helpfulness", 0.05, ("gpt-5-nano",), "chat", "", "judge", "", False),
)
CHAT, RAG, EXTRACT, SUMMARISE, AGENT, EMBED, JUDGE = range(len(FEATURES))
MODEL_CODES: Final = tuple(tuple(CODE[name] for name in f.models) for f in FEATURES)

TENANTS: Final = (
    "acme",
    "globex",
    "initech",
    "umbrella",
    "hooli",
    "vandelay",
    "wonka",
    "stark",
    "wayne",
    "cyberdyne",
    "tyrell",
    "soylent",
)
RUNAWAY: Final = TENANTS.index("umbrella")
LANGUAGES: Final = ("en", "de", "es", "fr")
LANGUAGE_SHARES: Final = (0.7, 0.14, 0.09, 0.07)

ENVIRONMENTS: Final = ("production", "staging", "langfuse-llm-as-a-judge")
PRODUCTION, STAGING, JUDGING = range(3)
STAGING_SHARE: Final = 0.07


def rollout(feature: int, event: Active) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The prompt versions that production uses on a day, and their shares."""
    name = FEATURES[feature].prompt
    if name == "rag-answer":
        # Some clients pin the old version, which makes the two comparable on the same days.
        return ((3, 4), (0.35, 0.65)) if event("prompt-regression") else ((3,), (1.0,))
    if name == "summarise":
        return ((2, 3), (0.1, 0.9)) if event("token-inflation") else ((2,), (1.0,))
    if name == "chat":
        return ((6,), (1.0,)) if event("prompt-wording") else ((5,), (1.0,))
    return {"extract-json": ((2,), (1.0,)), "agent-tools": ((7,), (1.0,))}.get(name, ((0,), (1.0,)))


def release(day: date) -> str:
    """The deployed release: a new one every Tuesday."""
    tuesday = day - timedelta(days=(day.weekday() - 1) % 7)
    return f"v{tuesday.year}.{tuesday.isocalendar().week:02d}"
