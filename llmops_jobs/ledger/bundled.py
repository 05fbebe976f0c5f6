"""The bundled price book: the dated, tiered list prices of the `genai-prices` package.

Its matching and its conditions (start dates, times of day, service tiers, batch) are used as they
are, once per distinct way of calling a model; amounts are then computed on columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from llmops_jobs.ledger.entries import ListPrices, boundaries, is_free, list_prices, start_dates
from llmops_jobs.ledger.naming import Named, anybody_hosts, named, only_hosted

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, Provider

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

# Who makes the models, in the order in which a bare model name is looked up.
_MAKERS = (
    *("openai", "anthropic", "google", "mistral", "cohere", "voyageai"),
    *("deepseek", "x-ai", "moonshotai", "zai", "perplexity", "minimax"),
)
# Names of client libraries too: what such a seller does not have was asked of somebody else.
_CLIENTS = {"openai"}


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
        told = named(provider, model)
        seller = self._provider(told.seller)
        if seller is not None:
            found = self._sold(seller, told)
            if found is not None and "vertex" in told.seller and is_free(found[1]):
                return None  # what the Gemini API gives away, Vertex charges for
            if found is not None or seller.id not in _CLIENTS:
                return found
        maker = self._provider(model.strip().partition("/")[0]) if "/" in model else None
        if maker is not None:
            return None if only_hosted(model) else self._sold(maker, told)
        gateway = seller is None and bool(told.seller)
        for name in told.names:
            if anybody_hosts(name) if gateway or "/" in model else only_hosted(name):
                continue
            for each in self._makers(name):
                found = self._entry(each, name)
                if found is not None:
                    return found
        return None

    def _sold(self, seller: Provider, told: Named) -> tuple[Provider, ModelInfo] | None:
        from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice

        for name in told.names:
            found = self._entry(seller, name)
            if found is not None:
                return found
        if told.free and told.names:
            name = told.names[0]
            return seller, ModelInfo(id=name, match=ClauseEquals(name), prices=ModelPrice())
        return None

    def _entry(self, seller: Provider, name: str) -> tuple[Provider, ModelInfo] | None:
        if seller.id == "openai" and "gpt-oss" in name.lower():
            return None  # its open models are other hosts', at their prices
        found = seller.find_model(name, all_providers=self._snapshot.providers)
        if found is None or (
            anybody_hosts(name) and all(found is not own for own in seller.models)
        ):
            return None  # the maker's price of what this host charges its own for
        return seller, found

    def prices(
        self, provider: str, model: str, day: date, second: int, context: Mapping[str, str]
    ) -> ListPrices | None:
        """What the model costs at one second of a UTC day, called in the way of `context`."""
        found = self.find(provider, model)
        if found is None:
            return None
        seller, info = found
        return list_prices(seller.id, info, day, second, context)

    def boundaries(self, provider: str, model: str) -> tuple[int, ...]:
        """Seconds of the day at which a price of this model changes (off-peak rates)."""
        found = self.find(provider, model)
        return () if found is None else boundaries(found[1])

    def history(self, provider: str, model: str) -> tuple[date, ...]:
        """Days on which a new price of this model came into force, oldest first."""
        found = self.find(provider, model)
        return () if found is None else start_dates(found[1])

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
