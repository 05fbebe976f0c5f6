"""One entry of the bundled data: its prices on a day, in one way of calling, as integers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmops_jobs.ledger.units import to_femto

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

# genai-prices' price key -> (usage type, units that the price is for).
_TYPE_OF: dict[str, tuple[str, int]] = {
    "input_mtok": ("input", 1_000_000),
    "cache_read_mtok": ("cache_read", 1_000_000),
    "cache_write_mtok": ("cache_write", 1_000_000),
    "cache_write_5m_mtok": ("cache_write", 1_000_000),
    "cache_write_1h_mtok": ("cache_write_1h", 1_000_000),
    "input_audio_mtok": ("input_audio", 1_000_000),
    "input_image_mtok": ("input_image", 1_000_000),
    "input_video_mtok": ("input_video", 1_000_000),
    "output_mtok": ("output", 1_000_000),
    "output_reasoning_mtok": ("reasoning", 1_000_000),
    "output_audio_mtok": ("output_audio", 1_000_000),
    "output_image_mtok": ("output_image", 1_000_000),
    "output_video_mtok": ("output_video", 1_000_000),
    "requests_kcount": ("request", 1000),
    "web_searches_kcount": ("web_search", 1000),
    "social_searches_kcount": ("social_search", 1000),
    "storage_searches_kcount": ("storage_search", 1000),
    "code_executions_kcount": ("code_execution", 1000),
    "rerank_searches_kcount": ("rerank", 1000),
    "audio_hours": ("audio_second", 3600),
    "input_audio_hours": ("audio_second", 3600),
    "input_mchars": ("character", 1_000_000),
    "input_document_kpages": ("page", 1000),
}


@dataclass(frozen=True)
class ListPrices:
    """One model's list prices under one set of conditions."""

    price_id: str
    #: (input tokens above which it holds, femto-dollars a unit by usage type), ascending from 0
    tiers: tuple[tuple[int, Mapping[str, int]], ...]
    #: no price for this service tier or batch is known: these are those of an ordinary call
    ordinary: bool = False


def list_prices(
    seller: str, info: ModelInfo, day: date, second: int, context: Mapping[str, str]
) -> ListPrices | None:
    """What an entry costs at one second of a UTC day; None for one without any price."""
    at = datetime.combine(day, time(second // 3600, second // 60 % 60, second % 60), tzinfo=UTC)
    values = {
        key: value
        for key, value in vars(info.get_prices(at, dict(context) or None)).items()
        if value is not None and key in _TYPE_OF
    }
    if not values and not is_free(info):
        return None
    used = {
        pair
        for variant in info.price_variants or ()
        if variant.constraint is None or variant.constraint.active(at)
        for pair in variant.when.items()
    }
    conditions = "".join(
        f"#{key}={value}" for key, value in sorted(context.items()) if (key, value) in used
    )
    return ListPrices(
        price_id=f"{seller}/{info.id}@{_in_force_since(info, at)}{_hours(info, at)}{conditions}"
        + ("" if values else "#free"),
        tiers=_tiers(values) if values else ((0, {"input": 0, "output": 0}),),
        ordinary=bool(values) and any(_matters(seller, *way) for way in context.items() - used),
    )


def _matters(seller: str, key: str, value: str) -> bool:
    """Whether calls made this way have another price than ordinary ones."""
    return key in ("service_tier", "processing", "speed") and (seller, value) != ("groq", "flex")


def _tiers(values: Mapping[str, Any]) -> tuple[tuple[int, Mapping[str, int]], ...]:
    starts = {0}
    for value in values.values():
        starts |= {tier.start for tier in getattr(value, "tiers", ())}
    return tuple((start, _at(values, start)) for start in sorted(starts))


def _at(values: Mapping[str, Any], start: int) -> dict[str, int]:
    prices: dict[str, int] = {}
    for key, value in values.items():
        amount: Decimal = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if tier.start <= start:
                amount = tier.price
        kind, per = _TYPE_OF[key]
        if key == "audio_hours" and "input_audio_hours" in values:
            continue
        prices[kind] = to_femto(amount, per)
    return prices


def is_free(info: ModelInfo) -> bool:
    told = f"{info.id} {info.name or ''} {info.price_comments or ''}".lower()
    return re.search(r"\bfree\b|no charge|moderation", told) is not None


def _conditions(info: ModelInfo) -> list[Any]:
    dated = info.prices if isinstance(info.prices, list) else []
    return [item.constraint for item in (*dated, *(info.price_variants or ())) if item.constraint]


def start_dates(info: ModelInfo) -> tuple[date, ...]:
    return tuple(
        sorted({c.start_date for c in _conditions(info) if getattr(c, "start_date", None)})
    )


def _in_force_since(info: ModelInfo, at: datetime) -> str:
    started = [start for start in start_dates(info) if start <= at.date()]
    return started[-1].isoformat() if started else "always"


def _hours(info: ModelInfo, at: datetime) -> str:
    """The hours of an off-peak price that holds at this time: `#hours=16:30-00:30`."""
    for condition in reversed(_conditions(info)):
        start, end = (getattr(condition, f"{edge}_time", None) for edge in ("start", "end"))
        if start is not None and end is not None and condition.active(at):
            return f"#hours={start:%H:%M}-{end:%H:%M}"
    return ""


def boundaries(info: ModelInfo) -> tuple[int, ...]:
    seconds: set[int] = set()
    for condition in _conditions(info):
        for edge in (getattr(condition, "start_time", None), getattr(condition, "end_time", None)):
            if edge is not None:
                at = datetime.combine(date(1970, 1, 1), edge)
                at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
                seconds.add(at.hour * 3600 + at.minute * 60 + at.second)
    return tuple(sorted(seconds))
