"""The bundled price book: the dated, tiered list prices of the `genai-prices` package.

Its matching and its conditions (start dates, times of day, service tiers, batch) are used as they
are, once per distinct way of calling a model; amounts are then computed on columns.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from llmops_jobs.ledger.units import to_femto

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, Provider

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

# OpenTelemetry's well-known provider names, and others in use, -> genai-prices' id.
_PROVIDER_ALIASES = {
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "azureopenai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "x_ai": "x-ai",
    "mistral_ai": "mistral",
    "fireworks_ai": "fireworks",
    "together_ai": "together",
}

# Software that serves models on the user's own machines: no list price of anybody holds.
_SELF_HOSTED = re.compile(r"vllm|ollama|sglang|llama\.?_?cpp|lm.?studio|\btgi\b|triton|local", re.I)
# Who makes the models, in the order in which a bare model name is looked up.
_MAKERS = (
    *("openai", "anthropic", "google", "mistral", "cohere", "voyageai"),
    *("deepseek", "x-ai", "moonshotai", "zai", "perplexity", "minimax"),
)
_BEDROCK = re.compile(r"(?:[a-z]{2,6}\.)?(?:anthropic|amazon|meta|cohere|mistral|ai21|deepseek)\.")


@dataclass(frozen=True)
class ListPrices:
    """One model's list prices under one set of conditions."""

    price_id: str
    #: (input tokens above which it holds, femto-dollars a unit by usage type), ascending from 0
    tiers: tuple[tuple[int, Mapping[str, int]], ...]


class BundledBook:
    """List prices by provider, model, day and way of calling."""

    @cached_property
    def _snapshot(self) -> DataSnapshot:
        from genai_prices.data import providers
        from genai_prices.data_snapshot import DataSnapshot

        return DataSnapshot(providers=providers, from_auto_update=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the price data."""
        data = resources.files("genai_prices").joinpath("data.py").read_bytes()
        return hashlib.sha256(data).hexdigest()

    @lru_cache(maxsize=10_000)  # noqa: B019 - one book a process
    def find(self, provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
        """The book's entry for a model as traces name it; None when it has none."""
        known = self._provider(provider)
        name = model
        if known is None and provider and _SELF_HOSTED.search(provider):
            return None
        if known is None and "/" in name:  # gateways write provider/model
            prefix, rest = name.split("/", 1)
            known = self._provider(prefix)
            name = rest if known is not None or prefix == "models" else name
        if known is None and _BEDROCK.match(name.lower()):
            known = self._provider("aws")
        names = [name, name.removeprefix("models/").rsplit("/", 1)[-1]]
        for candidate in dict.fromkeys(names):
            for each in [known] if known is not None else self._makers(candidate):
                found = each.find_model(candidate, all_providers=self._snapshot.providers)
                if found is not None:
                    return each, found
        return None

    def prices(
        self, provider: str, model: str, day: date, second: int, context: Mapping[str, str]
    ) -> ListPrices | None:
        """What the model costs at one second of a UTC day, called in the way of `context`."""
        found = self.find(provider, model)
        if found is None:
            return None
        seller, info = found
        at = datetime.combine(day, time(second // 3600, second // 60 % 60, second % 60), tzinfo=UTC)
        values = {
            key: value
            for key, value in vars(info.get_prices(at, dict(context) or None)).items()
            if value is not None and key in _TYPE_OF
        }
        if not values and not _is_free(info):
            return None
        used = {pair for variant in info.price_variants or () for pair in variant.when.items()}
        conditions = "".join(
            f"#{key}={value}" for key, value in sorted(context.items()) if (key, value) in used
        )
        return ListPrices(
            price_id=f"{seller.id}/{info.id}@{_in_force_since(info, at)}{conditions}",
            tiers=_tiers(values),
        )

    def boundaries(self, provider: str, model: str) -> tuple[int, ...]:
        """Seconds of the day at which a price of this model changes (off-peak rates)."""
        found = self.find(provider, model)
        return () if found is None else _boundaries(found[1])

    def history(self, provider: str, model: str) -> tuple[date, ...]:
        """Days on which a new price of this model came into force, oldest first."""
        found = self.find(provider, model)
        return () if found is None else _start_dates(found[1])

    def seller_name(self, provider: str, model: str) -> str:
        """Who sells the model, as people write it; the name in the trace when the book has none."""
        known = self._provider(provider)
        if known is None and not provider and model:
            found = self.find(provider, model)
            known = found[0] if found is not None else None
        return known.name if known is not None else provider or "Unknown"

    def sku(self, provider: str, model: str) -> str:
        """Seller and model as one name for all names under which traces know the model."""
        found = self.find(provider, model) if model else None
        if found is None:
            return f"{provider or 'unknown'}/{model or 'unknown'}"
        return f"{found[0].id}/{found[1].id}"

    def _provider(self, name: str) -> Provider | None:
        from genai_prices.data_snapshot import find_provider_by_id

        lowered = name.strip().lower()
        if not lowered:
            return None
        return find_provider_by_id(
            self._snapshot.providers, _PROVIDER_ALIASES.get(lowered, lowered)
        )

    def _makers(self, model: str) -> list[Provider]:
        by_id = {provider.id: provider for provider in self._snapshot.providers}
        claimed = [
            provider
            for provider in self._snapshot.providers
            if provider.model_match is not None and provider.model_match.is_match(model.lower())
        ]
        return [*claimed, *(by_id[maker] for maker in _MAKERS if maker in by_id)]


@cache
def bundled_book() -> BundledBook:
    """The one of this process: loading it takes a third of a second."""
    return BundledBook()


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


def _is_free(info: ModelInfo) -> bool:
    told = f"{info.id} {info.name or ''} {info.price_comments or ''}".lower()
    return re.search(r"\bfree\b|no charge|moderation", told) is not None


def _conditions(info: ModelInfo) -> list[Any]:
    dated = info.prices if isinstance(info.prices, list) else []
    return [item.constraint for item in (*dated, *(info.price_variants or ())) if item.constraint]


def _start_dates(info: ModelInfo) -> tuple[date, ...]:
    return tuple(
        sorted({c.start_date for c in _conditions(info) if getattr(c, "start_date", None)})
    )


def _in_force_since(info: ModelInfo, at: datetime) -> str:
    started = [start for start in _start_dates(info) if start <= at.date()]
    return started[-1].isoformat() if started else "always"


def _boundaries(info: ModelInfo) -> tuple[int, ...]:
    seconds: set[int] = set()
    for condition in _conditions(info):
        for edge in (getattr(condition, "start_time", None), getattr(condition, "end_time", None)):
            if edge is not None:
                at = datetime.combine(date(1970, 1, 1), edge)
                at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
                seconds.add(at.hour * 3600 + at.minute * 60 + at.second)
    return tuple(sorted(seconds))
