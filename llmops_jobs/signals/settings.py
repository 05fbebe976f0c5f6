"""Configuration of latency, errors and feedback."""

from __future__ import annotations

from pydantic import Field

from llmops_jobs.settings import Section


class SignalSettings(Section):
    histogram_error: float = Field(0.01, gt=0, lt=0.2, description="relative error of histograms")
