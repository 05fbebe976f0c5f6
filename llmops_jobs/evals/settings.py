"""Configuration of scorers and of the judge."""

from __future__ import annotations

from llmops_jobs.settings import Section


class EvalSettings(Section):
    scorers: tuple[str, ...] | None = None  # all that are installed
