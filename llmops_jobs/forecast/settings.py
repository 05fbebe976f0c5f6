"""Configuration of forecasts and budgets."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from llmops_jobs.settings import Section


class Budget(Section):
    """So much money for one scope and calendar period."""

    name: str
    amount: Decimal = Field(gt=0, description="USD")
    currency: Literal["USD"] = "USD"
    period: Literal["day", "week", "month", "quarter"] = "month"
    time_zone: str = "UTC"
    scope: str = Field("total", description="total, or dimension=value")
    owner: str = ""
    at_risk: float = Field(0.5, gt=0, lt=1, description="P(over) from which it is at risk")


class ForecastSettings(Section):
    seed: int = 20260101
    holidays: str | None = None
