"""The built-in scorers that need no network: rules, and small models shipped as coefficients.

Every one says what its value means; `passed` is always the good side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_jobs.evals.scorers import (
    grounding,
    injection,
    language,
    pii,
    refusal,
    relevance,
    secrets,
    shape,
    structure,
    toxicity,
)

if TYPE_CHECKING:
    from llmops_jobs.evals.scorer import Scorer

BUILT_IN: tuple[Scorer, ...] = (
    shape.empty,
    shape.truncated,
    shape.length,
    shape.readability,
    shape.repetition,
    structure.valid_json,
    structure.tool_calls,
    refusal.refusal,
    language.language,
    relevance.relevance,
    grounding.groundedness,
    pii.pii,
    secrets.secrets,
    injection.injection,
    toxicity.toxicity,
    toxicity.question_toxicity,
)
