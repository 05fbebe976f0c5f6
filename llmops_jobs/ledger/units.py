"""What can be billed: usage types, their fallbacks, and the integer in which prices are kept.

Token types are *exclusive*: a cached token is `cache_read` and not also `input`. A price book that
has no price of its own for a type charges the type it is a part of (cached input as input,
reasoning as output), which is how providers bill and how genai-prices decomposes usage.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

# Type -> the type whose price holds when it has none of its own ('' = no fallback).
TOKEN_TYPES: Final[dict[str, str]] = {
    "input": "",
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "input_image": "input",
    "input_video": "input",
    "output": "",
    "reasoning": "output",
    "output_audio": "output",
    "output_image": "output",
    "output_video": "output",
}

# Billed by the piece. `request` is one for every call.
PIECE_TYPES: Final[tuple[str, ...]] = (
    "request",
    "web_search",
    "social_search",
    "storage_search",
    "code_execution",
    "rerank",
    "audio_second",
    "character",
    "page",
)

USAGE_TYPES: Final[tuple[str, ...]] = (*TOKEN_TYPES, *PIECE_TYPES)

# Usage type -> the column of `costs` that its money goes to.
COMPONENT: Final[dict[str, str]] = {
    "input": "input_usd",
    "cache_read": "cache_read_usd",
    "cache_write": "cache_write_usd",
    "cache_write_1h": "cache_write_usd",
    "output": "output_usd",
    "reasoning": "output_usd",
}  # all others: other_usd
COMPONENTS: Final = ("input_usd", "cache_read_usd", "cache_write_usd", "output_usd", "other_usd")

# Keys of a Langfuse `usageDetails` object that no column of `observations` holds -> usage type.
DETAIL_KEYS: Final[dict[str, str]] = {
    "web_search_queries": "web_search",
    "web_search_requests": "web_search",
    "web_searches": "web_search",
    "web_search": "web_search",
    "search_queries": "web_search",
    "num_search_queries": "web_search",
    "grounding_queries": "web_search",
    "google_search_queries": "web_search",
    "social_searches": "social_search",
    "storage_searches": "storage_search",
    "file_searches": "storage_search",
    "file_search_calls": "storage_search",
    "code_executions": "code_execution",
    "code_interpreter_sessions": "code_execution",
    "rerank_searches": "rerank",
    "search_units": "rerank",
    "audio_seconds": "audio_second",
    "input_audio_seconds": "audio_second",
    "characters": "character",
    "input_characters": "character",
    "pages": "page",
    "input_document_pages": "page",
    "input_video": "input_video",
    "input_video_tokens": "input_video",
    "output_image": "output_image",
    "output_image_tokens": "output_image",
    "output_video": "output_video",
    "output_video_tokens": "output_video",
}

# Prices are kept as whole femto-dollars (1e-15) a unit: nine digits behind the point of a price
# per million tokens. Amounts are whole pico-dollars (1e-12), the money type of the lake.
FEMTO: Final = 10**15
FEMTO_PER_PICO: Final = 1000


def to_femto(usd: Decimal, per: int) -> int:
    """A price of `usd` dollars for `per` units, in whole femto-dollars a unit."""
    return int((usd * FEMTO / per).to_integral_value(ROUND_HALF_EVEN))


def from_femto(femto: int, per: int = 1_000_000) -> Decimal:
    """Dollars for `per` units."""
    return (Decimal(femto) * per / FEMTO).normalize() + Decimal(0)
