"""Configuration of forecasts and budgets."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.settings import Section


class Budget(Section):
    """So much money for one scope and calendar period."""

    name: str
    amount: Decimal = Field(gt=0, allow_inf_nan=False, description="in `currency`, per period")
    currency: str = Field("USD", pattern="^[A-Z]{3}$", description="ISO 4217")
    usd_per_unit: Decimal | None = Field(
        None, gt=0, description="USD for one unit of the currency; needed unless it is USD"
    )
    period: Literal["day", "week", "month", "quarter"] = "month"
    time_zone: str = Field("UTC", description="IANA name; the period begins at midnight there")
    scope: str = Field("total", description="total, or dimension=value")
    owner: str = ""
    at_risk: float = Field(0.5, gt=0, lt=1, description="P(over) from which it is at risk")
    thresholds: tuple[float, ...] = Field(
        (0.5, 0.8, 1.0), description="shares of the amount whose passing is told"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            raise ValueError(f"{name!r} is no time zone: write one such as Europe/Berlin") from None
        return name

    @field_validator("scope")
    @classmethod
    def _known_scope(cls, scope: str) -> str:
        dimension, equals, _value = scope.partition("=")
        if scope == "total" or (equals and dimension in DIMENSIONS):
            return scope
        raise ValueError(
            f"{scope!r} is no scope: write total, or one of {', '.join(DIMENSIONS)} as "
            "dimension=value"
        )

    @field_validator("thresholds")
    @classmethod
    def _ordered(cls, thresholds: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < value <= 10 for value in thresholds):
            raise ValueError("thresholds are shares of the amount, such as 0.8; 1 is all of it")
        return tuple(sorted(set(thresholds)))

    @model_validator(mode="after")
    def _one_currency(self) -> Budget:
        if self.currency != "USD" and self.usd_per_unit is None:
            raise ValueError(
                f"budget {self.name!r} is in {self.currency}, spend is in USD: give usd_per_unit, "
                f"the dollars for one {self.currency}"
            )
        return self

    @property
    def amount_usd(self) -> Decimal:
        return self.amount * (self.usd_per_unit or Decimal(1))


class ForecastSettings(Section):
    seed: int = Field(
        20260101, ge=0, description="the same seed and history give the same forecast"
    )
    paths: int = Field(500, ge=100, le=5000, description="sample paths")
    history_days: int = Field(365, ge=28, le=1100, description="days a forecast reads")
    scopes_per_dimension: int = Field(
        20, ge=1, description="largest values of each dimension; the others together are (other)"
    )
    small_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of spend below which ETS is chosen on a grid alone, without statsmodels",
    )
    processes: int = Field(
        1, ge=1, le=64, description="that fit series where there are thousands; same numbers"
    )
    anomaly_fdr: float = Field(0.05, gt=0, lt=1, description="false discovery rate of anomalies")
    anomaly_share: float = Field(
        0.01, ge=0, lt=1, description="of the day's total, below which a difference is not told"
    )
    holidays: str | None = Field(None, description="file of dates, one YYYY-MM-DD a line")
