"""Configuration of latency, errors and feedback."""

from __future__ import annotations

import re

from pydantic import Field, model_validator

from llmops_jobs.settings import Section


class Scale(Section):
    """How to read a numeric score as a vote."""

    name: str = Field(description="regular expression over the score's whole name")
    positive_from: float = Field(description="this value and above is a positive vote")
    negative_to: float = Field(description="this value and below is a negative vote")

    @model_validator(mode="after")
    def _consistent(self) -> Scale:
        try:
            re.compile(self.name)
        except re.error as error:
            raise ValueError(f"name {self.name!r} is no regular expression: {error}") from None
        if self.negative_to >= self.positive_from:
            raise ValueError("negative_to must be below positive_from")
        return self


class FeedbackSettings(Section):
    scales: tuple[Scale, ...] = Field(
        (
            Scale(name=r".*(rating|stars?|csat).*", positive_from=4, negative_to=2),
            Scale(name=r".*nps.*", positive_from=9, negative_to=6),
        ),
        description="numeric scores; others count as 0 to 1, or -1 and 1",
    )
    positive_labels: tuple[str, ...] = Field(
        ("positive", "good", "yes", "true", "correct", "helpful", "thumbs_up", "up", "like",
         "liked", "pass", "accepted", "resolved", "satisfied", "👍"),
        description="categories that are positive votes, whatever their case",
    )  # fmt: skip
    negative_labels: tuple[str, ...] = Field(
        ("negative", "bad", "no", "false", "incorrect", "unhelpful", "not_helpful",
         "thumbs_down", "down", "dislike", "disliked", "fail", "rejected", "unresolved",
         "unsatisfied", "👎"),
        description="categories that are negative votes; any other category is no vote",
    )  # fmt: skip
    lookback_days: int = Field(14, ge=0, le=90, description="how old a rated trace may be")
    prior_traces: float = Field(
        20.0, gt=0, description="least weight of the prior in votes when shrinking small cells"
    )

    @model_validator(mode="after")
    def _labels_apart(self) -> FeedbackSettings:
        both = {t.lower() for t in self.positive_labels} & {t.lower() for t in self.negative_labels}
        if both:
            raise ValueError(f"labels cannot be positive and negative: {', '.join(sorted(both))}")
        return self


class SignalSettings(Section):
    histogram_error: float = Field(0.01, gt=0, lt=0.2, description="relative error of histograms")
    retry_gap_seconds: float = Field(
        300, gt=0, description="a call this long after a failed one is no retry of it"
    )
    feedback: FeedbackSettings = FeedbackSettings()
