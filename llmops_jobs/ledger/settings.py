"""Configuration of the price book."""

from __future__ import annotations

from llmops_jobs.settings import Section


class LedgerSettings(Section):
    price_file: str | None = None  # own prices, laid over the bundled book
