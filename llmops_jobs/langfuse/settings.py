"""Configuration of the source: projects, dimensions, and how far a pull looks back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from llmops_jobs.settings import Section


class SourceSettings(Section):
    """Where a project's rows are read from. `api` needs nothing else."""

    kind: Literal["api", "export", "otlp"] = "api"
    url: str = Field("", description="folder or fsspec URL of the export or of the OTLP files")
    prefix: str = Field("", description="the export's prefix, before the project id")
    top_up: bool = Field(
        True, description="an export misses late rows: fetch those by the API as well"
    )

    @model_validator(mode="after")
    def _has_url(self) -> SourceSettings:
        if self.kind != "api" and not self.url:
            raise ValueError(f"source kind {self.kind} needs `url`: a folder or an fsspec URL")
        return self


class Project(Section):
    """One Langfuse project. Keys come from the environment: the names of the variables are here."""

    name: str = "default"
    id: str | None = Field(None, description="Langfuse project id; asked of the server when absent")
    base_url_env: str = "LANGFUSE_BASE_URL"
    public_key_env: str = "LANGFUSE_PUBLIC_KEY"
    secret_key_env: str = "LANGFUSE_SECRET_KEY"
    organization: str = Field(
        "", description="projects of one organization on one server share its rate limit"
    )
    source: SourceSettings = SourceSettings()


class DimensionRules(Section):
    """Where the tenant of a call is written. The first rule that finds a value wins.

    A rule is `tag:PREFIX` (a tag such as `tenant:acme`), `metadata:KEY` or `user_id`.
    """

    tenant: tuple[str, ...] = ("tag:tenant:", "metadata:tenant", "metadata:tenant_id")


class IngestSettings(Section):
    lookback_days: int = Field(2, ge=0, description="days pulled again every night")
    score_lookback_days: int = Field(7, ge=0, description="days of scores pulled again")
    late_days: int = Field(30, ge=0, description="how far back late and long spans are looked for")
    requests_per_minute: int | None = Field(
        None, ge=2, description="of the organization's plan; 1000 on Langfuse Cloud, else no limit"
    )
    access_days: int | None = Field(
        None, ge=1, description="days the plan lets the API see: Hobby 30, Core 90"
    )
    parallel: int = Field(4, ge=1, description="pages fetched side by side")
    texts_per_day: int = Field(500, ge=0, description="model calls whose input/output is fetched")
    text_seed: int = Field(0, description="of the sample of texts; the same seed, the same rows")
    text_days: int | None = Field(
        None, ge=1, description="days that input and output are kept; no limit when absent"
    )
    longest_text: int = Field(
        1_000_000, ge=1000, description="characters of an input or output that are kept"
    )
    reconcile: bool = Field(True, description="compare with the Metrics API (a call per 60 days)")
