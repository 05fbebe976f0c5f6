"""Configuration of rules, channels and incident policy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.settings import Section

Severity = Literal["info", "warning", "critical"]
ChannelKind = Literal["webhook", "slack", "pagerduty", "email", "alertmanager", "teams", "log"]


class Channel(Section):
    """Where messages go. Addresses and keys come from the environment variables named here."""

    name: str
    kind: ChannelKind
    url_env: str = Field("", description="variable that holds the address")
    secret_env: str = Field("", description="variable that holds the signing or routing key")
    severities: tuple[Severity, ...] = ("info", "warning", "critical")
    to: tuple[str, ...] = Field((), description="e-mail recipients")


class Rule(Section):
    """Fires for every value of `by` whose metric is beyond the bound on the evaluated day."""

    name: str
    metric: str
    by: tuple[str, ...] = ()
    where: dict[str, str] = Field({}, description="dimension: value; all must match")
    above: float | None = None
    below: float | None = None
    minimum_n: int = Field(50, ge=0, description="fewer observations never fire")
    severity: Severity = "warning"
    for_days: int = Field(1, ge=1, description="days in a row before it opens")
    clear_days: int = Field(1, ge=1, description="clear days in a row before it resolves")
    channels: tuple[str, ...] | None = None  # all
    owner: str = ""
    runbook: str = ""

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"rule {self.name}: give exactly one of above and below")
        unknown = [name for name in (*self.by, *self.where) if name not in DIMENSIONS]
        if unknown:
            raise ValueError(
                f"rule {self.name}: {', '.join(unknown)} is no dimension; "
                f"there are {', '.join(DIMENSIONS)}"
            )
        return self


class AlertSettings(Section):
    enabled: bool = True
    built_in: bool = Field(True, description="the rules that work without being written")
    channels: tuple[Channel, ...] = (Channel(name="log", kind="log"),)
    rules: tuple[Rule, ...] = ()
    page_within_days: int = Field(
        2, ge=0, description="days older than this are recorded but page nobody: a backfill"
    )
    reminder_days: int = Field(7, ge=1, description="days between reminders of an open incident")
