"""Configuration of rules, objectives and channels."""

from __future__ import annotations

from llmops_jobs.settings import Section


class AlertSettings(Section):
    enabled: bool = True
