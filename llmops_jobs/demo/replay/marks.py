"""The list of marked events: what is different on which days, and what should be seen where.

Days are counted back from the last one, so that a replay of 60 days or more has them all and the
last night always has something to decide. In the quiet stretches nothing begins or ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mark:
    """An event before it is dated: days back from the last day."""

    id: str
    kind: str
    first: int
    last: int
    scope: str
    table: str
    metric: str
    direction: str
    size: float
    size_unit: str
    cause: str
    sentence: str


MARKS: Final[tuple[Mark, ...]] = (
    Mark(
        "prompt-wording",
        "prompt_version",
        45,
        0,
        "feature=chat",
        "version_seen",
        "share",
        "none",
        0,
        "difference",
        "prompt=chat@6",
        "Prompt chat moves from version 5 to 6: wording only, no metric should change.",
    ),
    Mark(
        "late-spans",
        "late_data",
        43,
        43,
        "total",
        "reconciliation",
        "late_rows",
        "up",
        170,
        "rows",
        "exporter=buffered",
        "An exporter was down: about 3 % of the rows were created two to four days late.",
    ),
    Mark(
        "duplicate-rows",
        "duplicates",
        41,
        41,
        "total",
        "reconciliation",
        "duplicates",
        "up",
        90,
        "rows",
        "sdk=flush-twice",
        "About 3 % of the model calls were sent twice; the second version has the true cost.",
    ),
    Mark(
        "price-change",
        "price",
        38,
        0,
        "model=claude-haiku-4-5-20251001",
        "usage_daily",
        "cost_usd per token",
        "up",
        1.25,
        "ratio",
        "price=claude-haiku-4-5",
        "The contract for claude-haiku-4-5 ended: every token costs 25 % more.",
    ),
    Mark(
        "retry-storm",
        "retries",
        36,
        36,
        "provider=openai",
        "error_daily",
        "errors",
        "up",
        8,
        "ratio",
        "error_type=rate_limit",
        "OpenAI answered 429 to every second call from 13:00 to 18:00 UTC; clients retried.",
    ),
    Mark(
        "spend-spike",
        "spend",
        34,
        34,
        "tenant=umbrella",
        "usage_daily",
        "cost_usd",
        "up",
        8,
        "ratio",
        "feature=agent-tools",
        "A runaway agent of tenant umbrella looped for hours.",
    ),
    Mark(
        "new-error-family",
        "error_family",
        32,
        30,
        "feature=agent-tools",
        "error_family",
        "family_id",
        "new",
        40,
        "rows",
        "tool=crm_lookup",
        "A release describes the tool crm_lookup wrongly, and the providers refuse it.",
    ),
    Mark(
        "outage",
        "outage",
        29,
        29,
        "provider=gcp.gemini",
        "error_daily",
        "errors",
        "up",
        8,
        "ratio",
        "error_type=provider_5xx",
        "Gemini answered 503 to every call from 09:20 to 11:50 UTC.",
    ),
    Mark(
        "model-swap",
        "model_swap",
        27,
        0,
        "model=gemini-3-flash-preview",
        "version_seen",
        "share",
        "new",
        1,
        "ratio",
        "request_model=gemini-flash-latest",
        "The alias gemini-flash-latest is answered by gemini-3-flash-preview: dearer and slower.",
    ),
    Mark(
        "unpriced-model",
        "unpriced",
        25,
        0,
        "model=aurora-1-preview",
        "usage_daily",
        "requests with price_status unpriced",
        "new",
        75,
        "rows",
        "model=aurora-1-preview",
        "Chat sends a tenth of its calls to aurora-1-preview, for which nobody has a price.",
    ),
    Mark(
        "prompt-regression",
        "prompt_version",
        8,
        0,
        "prompt_name=rag-answer",
        "quality_daily",
        "groundedness",
        "down",
        0.2,
        "difference",
        "prompt=rag-answer@4",
        "Prompt rag-answer version 4 answers more freely: less grounded, fewer thumbs up.",
    ),
    Mark(
        "latency-regression",
        "latency",
        7,
        5,
        "model=gpt-5-mini-2025-08-07",
        "latency_daily",
        "time_to_first_token",
        "up",
        2.0,
        "ratio",
        "provider=openai",
        "gpt-5-mini took about twice as long to the first token.",
    ),
    Mark(
        "topic-shift",
        "traffic_mix",
        5,
        0,
        "feature=chat",
        "drift",
        "share of questions",
        "up",
        0.55,
        "difference",
        "topic=account-security",
        "After news of a leak every second question of chat is about it, and chat grows by 40 %.",
    ),
    Mark(
        "token-inflation",
        "tokens",
        4,
        0,
        "prompt_name=summarise",
        "usage_daily",
        "input_tokens per request",
        "up",
        1.5,
        "ratio",
        "prompt=summarise@3",
        "Prompt summarise version 3 repeats its examples: input tokens up by about a half.",
    ),
    Mark(
        "feedback-drop",
        "feedback",
        2,
        0,
        "feature=chat",
        "feedback_daily",
        "rate",
        "down",
        0.25,
        "difference",
        "unknown",
        "Chat's thumbs fall although no version changed: answers miss the question or refuse.",
    ),
)

QUIET: Final = ((59, 46), (24, 10))
