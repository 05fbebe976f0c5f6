"""Configuration of scorers, of the judge, and of what people's labels mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from llmops_jobs.settings import FilePath, Section, beside_the_file


class FormatRule(Section):
    """What answers of a feature or prompt must look like; one scorer `format:NAME` per rule."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    feature: str = Field("", description="only calls of this feature; '' for all")
    prompt_name: str = Field("", description="only calls of this prompt; '' for all")
    must_match: str = Field("", description="regular expression that the answer must contain")
    must_not_match: str = Field("", description="regular expression that it must not contain")
    max_words: int | None = Field(None, gt=0)
    min_words: int | None = Field(None, gt=0)
    is_json: bool = Field(False, description="the answer must be JSON")
    json_schema: FilePath | None = Field(
        None, description="path of a JSON Schema that it must keep"
    )


class HumanLabel(Section):
    """A score that people give in Langfuse, and which of its values pass."""

    score: str = Field(description="name of the score")
    metric: str = Field("", description="name of the metric; the score's name when empty")
    passes: tuple[str, ...] = Field((), description="categories that pass")
    at_least: float | None = Field(None, description="smallest number that passes")

    @model_validator(mode="after")
    def _one_rule(self) -> HumanLabel:
        if self.passes and self.at_least is not None:
            raise ValueError("give passes or at_least, not both")
        return self


def is_rubric_file(name_or_path: str) -> bool:
    """Whether that is the path of a rubric of one's own, not the name of a bundled one."""
    return "/" in name_or_path or name_or_path.endswith((".yaml", ".yml"))


def _beside_the_file(name_or_path: str, info: ValidationInfo) -> str:
    is_file = is_rubric_file(name_or_path)
    return beside_the_file(name_or_path, info) if is_file else name_or_path


class JudgeSettings(Section):
    """A model that judges answers, behind any OpenAI-compatible endpoint. Off without rubrics."""

    rubrics: tuple[Annotated[str, AfterValidator(_beside_the_file)], ...] = Field(
        (), description="bundled names, or paths of rubric files"
    )
    anchors: dict[str, str] = Field(
        {}, description="rubric -> metric that people label; the rubric's own name when absent"
    )
    model: str = Field("", description="name that the endpoint knows the judge by")
    base_url_env: str = Field("LLMOPS_JUDGE_BASE_URL", description="variable with the address")
    api_key_env: str = Field("LLMOPS_JUDGE_API_KEY", description="variable with the key")
    calls_per_night: int = Field(200, ge=0)
    usd_per_night: Decimal = Field(Decimal("1.00"), ge=0)
    usd_per_million_input: Decimal = Field(Decimal("0.15"), ge=0)
    usd_per_million_output: Decimal = Field(Decimal("0.60"), ge=0)
    max_output_tokens: int = Field(400, gt=0)
    parallel: int = Field(8, ge=1)
    retries: int = Field(3, ge=0)
    timeout_s: float = Field(60, gt=0)
    seed: int = 7
    canary_calls: int = Field(20, ge=0, description="fixed calls judged again every night")
    trace: bool = Field(True, description="trace judge calls to Langfuse")


class QualityModelSettings(Section):
    """The model that learns from people's labels what they would say of every call."""

    enabled: bool = True
    window_days: int = Field(90, ge=14, description="labels of how many days it learns from")
    feedback_score: str = Field("user_feedback", description="users' votes; '' for none")
    feedback_metric: str = Field("correct", description="the metric that votes help to learn")
    feedback_weight: float = Field(0.3, ge=0, le=1, description="of a vote, beside a label's 1")


class EvalSettings(Section):
    scorers: tuple[str, ...] | None = Field(None, description="names; all that are installed")
    formats: tuple[FormatRule, ...] = ()
    human_labels: tuple[HumanLabel, ...] = Field(
        (), description="every BOOLEAN annotation when empty"
    )
    quality_model: QualityModelSettings = QualityModelSettings()
    judge: JudgeSettings = JudgeSettings()
    words_from_users: int = Field(
        20,
        ge=0,
        description="a word of users' questions names a topic only when so many users wrote it; "
        "0: no word ever does",
    )
    write_back: tuple[str, ...] = Field((), description="scorers whose scores go to Langfuse")
    processes: int = Field(
        2, ge=1, description="that score a day of more than 7,500 calls; a core each"
    )
    seed: int = 20260101
