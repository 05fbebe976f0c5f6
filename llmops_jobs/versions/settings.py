"""Configuration of version comparisons."""

from __future__ import annotations

from llmops_jobs.settings import Section


class VersionSettings(Section):
    false_discovery_rate: float = 0.1
    seed: int = 20260101
