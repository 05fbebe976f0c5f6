"""Format rules from the configuration: one scorer per rule."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.batch import words
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.scorer import FunctionScorer, Score, skipped
from llmops_jobs.evals.scorers.schemas import UnusableError, broken
from llmops_jobs.evals.scorers.structure import check_json
from llmops_jobs.evals.settings import FormatRule
from llmops_jobs.evals.versions import content_version


def format_scorers(rules: Sequence[FormatRule]) -> list[FunctionScorer]:
    """A scorer `format:NAME` per rule, its version a hash of the rule and of its schema.

    Raises ConfigError for a pattern or schema file that cannot be read.
    """
    return [_scorer(rule) for rule in rules]


def _scorer(rule: FormatRule) -> FunctionScorer:
    must = _compile(rule, rule.must_match)
    must_not = _compile(rule, rule.must_not_match)
    schema = _schema(rule)

    def check(call: Call) -> Score:
        if rule.feature not in ("", call.feature) or rule.prompt_name not in ("", call.prompt_name):
            return skipped("the rule is for other calls")
        found = []
        if must and not must.search(call.answer):
            found.append("lacks what it must contain")
        if must_not and must_not.search(call.answer):
            found.append("contains what it must not")
        if rule.max_words is not None or rule.min_words is not None:
            n = len(words(call.answer))
            if rule.max_words is not None and n > rule.max_words:
                found.append(f"{n} words, more than {rule.max_words}")
            if rule.min_words is not None and n < rule.min_words:
                found.append(f"{n} words, fewer than {rule.min_words}")
        if rule.is_json or schema:
            verdict = check_json(call.answer, schema)
            if verdict.status == "skipped" and not found:
                return verdict
            if verdict.passed is False:
                found.append(verdict.reason)
        return Score(float(not found), passed=not found, reason="; ".join(found))

    version = content_version([rule.model_dump(mode="json"), schema])
    return FunctionScorer(f"format:{rule.name}", version, "rule", frozenset({"answer"}), check)


def _compile(rule: FormatRule, pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise ConfigError(
            f"evals.formats {rule.name}: {pattern!r} is no pattern: {error}"
        ) from error


def _schema(rule: FormatRule) -> Any:
    if not rule.json_schema:
        return None
    try:
        schema = json.loads(Path(rule.json_schema).read_text(encoding="utf-8"))
        broken({}, schema)
        return schema
    except (OSError, ValueError, UnusableError) as error:
        raise ConfigError(f"evals.formats {rule.name}: {rule.json_schema}: {error}") from error
