"""Configuration of the report."""

from __future__ import annotations

from llmops_jobs.settings import Section


class ReportSettings(Section):
    title: str = "LLM quality & cost"
    include_text: bool = False  # snippets of users' text, after masking
