"""Configuration of version comparisons."""

from __future__ import annotations

from pydantic import Field

from llmops_jobs.settings import Section


class VersionSettings(Section):
    false_discovery_rate: float = Field(0.1, gt=0, lt=1, description="over slices of comparisons")
    change_point_rate: float = Field(0.05, gt=0, lt=1, description="over a night's series")
    calls_per_day: int = Field(
        200_000,
        ge=1000,
        description="calls of a day that comparisons hold; of a larger day, traces of about as many"
        " are drawn",
    )
    seed: int = 20260101
