"""Answers that a program reads: valid JSON, JSON that keeps its schema, tool calls that work."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import orjson

from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.scorer import Score, scorer, skipped
from llmops_jobs.evals.scorers.schemas import UnusableError, broken

_ASKS_FOR_JSON = re.compile(
    r"\b(?:respond|reply|answer|return|output|produce|emit)\b[^.\n]{0,60}\b(?:valid |raw |strict )?"
    r"json\b|\bjson (?:object|only|format|schema)\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL | re.IGNORECASE)


@scorer("valid_json", version="2", needs={"answer"})
def valid_json(call: Call) -> Score:
    """Value 1 when the answer is JSON and, where the call names a schema, keeps it.

    Expected when the model parameters ask for JSON (`response_format`) or the instructions do.
    A code fence around the JSON is forgiven; prose around it is not.
    """
    wanted, schema = expected(call)
    if not wanted:
        return skipped("no JSON asked for")
    return check_json(call.answer, schema)


@scorer("tool_calls", version="2", needs={"tool_calls"})
def tool_calls(call: Call) -> Score:
    """Value: the share of tool calls that name a tool that was offered, with arguments that are a
    JSON object and keep the tool's schema. What was offered must be on record to be checked."""
    offered = call.tools
    mistakes = []
    for made in call.tool_calls:
        if offered and made.name not in offered:
            mistakes.append("calls a tool that was not offered")
        elif not isinstance(made.arguments, dict):
            mistakes.append("arguments are not a JSON object")
        elif offered and offered[made.name]:
            wrong = _wrong_arguments(made.arguments, offered[made.name])
            if wrong:
                mistakes.append(f"arguments break the schema: {wrong}")
    good = len(call.tool_calls) - len(mistakes)
    return Score(
        good / len(call.tool_calls), passed=not mistakes, reason="; ".join(sorted(set(mistakes)))
    )


def _wrong_arguments(arguments: dict[str, Any], schema: Any) -> str:
    try:
        return broken(arguments, schema, len(orjson.dumps(arguments)))
    except UnusableError:  # not the model's mistake
        return ""


def expected(call: Call) -> tuple[bool, Any]:
    """Whether the call should answer in JSON, and the schema that it names (or None)."""
    wanted = call.parameters.get("response_format") or call.metadata_object.get("response_format")
    if isinstance(wanted, str):
        wanted = {"type": wanted}
    told = call.instructions
    if isinstance(wanted, dict) and str(wanted.get("type", "")).startswith("json"):
        named = wanted.get("json_schema")
        named = named.get("schema", named) if isinstance(named, dict) else wanted.get("schema")
        return True, named if isinstance(named, dict) else _schema_in(told)
    asked = "json" in told.lower() and bool(_ASKS_FOR_JSON.search(told))
    return asked, _schema_in(told) if asked else None


@lru_cache(maxsize=256)
def _schema_in(instructions: str) -> Any:
    """The JSON Schema that instructions spell out, or None."""
    start = instructions.find("{") if "schema" in instructions.lower() else -1
    if start < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(instructions, start)
    except (ValueError, RecursionError):
        return None
    is_schema = isinstance(found, dict) and ("properties" in found or "type" in found)
    return found if is_schema else None


def check_json(answer: str, schema: Any = None) -> Score:
    """The verdict on one answer that should be JSON; on valid JSON it is skipped where its schema
    cannot be applied, since that says nothing of the answer."""
    fenced = _FENCE.match(answer)
    try:
        value = orjson.loads(fenced.group(1) if fenced else answer)
    except (orjson.JSONDecodeError, RecursionError):
        return Score(0.0, passed=False, label="invalid", reason="not valid JSON")
    try:
        wrong = broken(value, schema, len(answer)) if schema else ""
    except UnusableError as error:
        return skipped(f"valid JSON, but {error}")
    if wrong:
        return Score(0.0, passed=False, label="schema", reason=f"breaks the schema: {wrong}")
    return Score(1.0, passed=True, label="valid")
