"""Configuration of the report."""

from __future__ import annotations

from pydantic import Field

from llmops_jobs.settings import Section


class ReportSettings(Section):
    title: str = "LLM quality & cost"
    include_text: bool = Field(
        False,
        description="snippets of failing answers and of error messages, personal data masked",
    )
    rows: int = Field(8, ge=1, le=200, description="rows of a breakdown before the rest is summed")
    history_days: int = Field(30, ge=7, le=120, description="days that charts look back")
    keep_days: int = Field(
        0, ge=0, description="day reports older than this are removed; 0 keeps all"
    )
    dagster_url: str = Field("", description="address of the Dagster UI, for links to partitions")
