"""Configuration of the source: projects, dimensions, and how far a pull looks back."""

from __future__ import annotations

from pydantic import Field

from llmops_jobs.settings import Section


class Project(Section):
    """One Langfuse project. Keys come from the environment: the names of the variables are here."""

    name: str = "default"
    id: str | None = Field(None, description="Langfuse project id; asked of the server when absent")
    base_url_env: str = "LANGFUSE_BASE_URL"
    public_key_env: str = "LANGFUSE_PUBLIC_KEY"
    secret_key_env: str = "LANGFUSE_SECRET_KEY"


class DimensionRules(Section):
    """Where the tenant of a call is written. The first rule that finds a value wins.

    A rule is `tag:PREFIX` (a tag such as `tenant:acme`), `metadata:KEY` or `user_id`.
    """

    tenant: tuple[str, ...] = ("tag:tenant:", "metadata:tenant", "metadata:tenant_id")


class IngestSettings(Section):
    lookback_days: int = Field(2, ge=0, description="days pulled again every night")
    score_lookback_days: int = Field(7, ge=0, description="days of scores pulled again")
    late_days: int = Field(30, ge=0, description="how far back late and long spans are looked for")
    requests_per_minute: int = Field(1000, ge=2, description="of the organization's plan")
    parallel: int = Field(4, ge=1, description="hour slices fetched side by side")
    texts_per_day: int = Field(500, ge=0, description="model calls whose input/output is fetched")
