"""One OTLP span -> rows of `raw`: the table of names, the GenAI conventions' and Langfuse's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

#: The version of the conventions that the names below are of.
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.43.0-dev"
_TYPES: Final = {
    "chat": "GENERATION",
    "text_completion": "GENERATION",
    "generate_content": "GENERATION",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "invoke_workflow": "CHAIN",
    "retrieval": "RETRIEVER",
}
_MODEL: Final = (
    "langfuse.observation.model.name", "gen_ai.response.model", "gen_ai.request.model",
)  # fmt: skip
_USER: Final = ("langfuse.user.id", "user.id", "enduser.id")
_SESSION: Final = ("langfuse.session.id", "session.id", "gen_ai.conversation.id")
_ENVIRONMENT: Final = (
    "langfuse.environment", "deployment.environment.name", "deployment.environment",
)  # fmt: skip
_PROMPT: Final = ("langfuse.observation.prompt.name", "gen_ai.prompt.name")
INPUT: Final = ("langfuse.observation.input", "gen_ai.input.messages", "gen_ai.prompt")
OUTPUT: Final = ("langfuse.observation.output", "gen_ai.output.messages", "gen_ai.completion")
# Attributes that hold text of users: never in what is kept beside the metrics.
_TEXT: Final = (
    *INPUT, *OUTPUT, "gen_ai.system_instructions", "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result", "langfuse.trace.input", "langfuse.trace.output",
    "input.value", "output.value",
)  # fmt: skip


def observation_of(
    span: dict[str, Any],
    attributes: dict[str, Any],
    resource: dict[str, Any],
    start: datetime,
    day: date,
    project_id: str,
) -> list[dict[str, Any]]:
    if start.date() != day:
        return []
    status = span.get("status") or {}
    failed = status.get("code") in (2, "STATUS_CODE_ERROR")
    end = time_of(span, "endTimeUnixNano") if span.get("endTimeUnixNano") else None
    parent = id_of(span, "parentSpanId")
    both = {**resource, **attributes}
    version = attributes.get("langfuse.observation.prompt.version")
    return [
        {
            "observation_id": id_of(span, "spanId"),
            "trace_id": id_of(span, "traceId"),
            "project_id": project_id,
            "start_time": start,
            "end_time": end,
            "parent_observation_id": parent,
            "type": _type(attributes),
            "name": str(span.get("name") or ""),
            "level": text_of(attributes.get("langfuse.observation.level"))
            or ("ERROR" if failed else "DEFAULT"),
            "status_message": str(status.get("message") or "")
            or text_of(attributes.get("error.type")),
            "version": text_of(first_of(attributes, ("langfuse.version",))),
            "environment": text_of(first_of(both, _ENVIRONMENT)),
            "updated_at": end or start,
            "metadata": metadata_of(attributes),
            "model": text_of(first_of(attributes, _MODEL)),
            "model_parameters": _parameters(attributes),
            "usage_details": _usage(attributes),
            "cost_details": text_of(attributes.get("langfuse.observation.cost_details")) or "{}",
            "prompt_name": text_of(first_of(attributes, _PROMPT)),
            "prompt_version": int(str(version)) if str(version or "").isdigit() else None,
            "latency_s": 0.0 if end == start else None,
            "time_to_first_token_s": _number(attributes.get("gen_ai.response.time_to_first_chunk")),
            "user_id": text_of(first_of(attributes, _USER)),
            "session_id": text_of(first_of(attributes, _SESSION)),
            "is_root": not parent,
            "trace_name": text_of(
                first_of(attributes, ("langfuse.trace.name", "gen_ai.workflow.name"))
            ),
            "release": text_of(first_of(both, ("langfuse.release", "service.version"))),
            "tags": [str(tag) for tag in attributes.get("langfuse.trace.tags") or []],
        }
    ]


def scores_of(
    span: dict[str, Any],
    attributes: dict[str, Any],
    resource: dict[str, Any],
    start: datetime,
    day: date,
    project_id: str,
) -> list[dict[str, Any]]:
    """Events `gen_ai.evaluation.result` of a span, as scores of that span."""
    rows = []
    for number, event in enumerate(span.get("events") or []):
        if event.get("name") != "gen_ai.evaluation.result":
            continue
        given = _attributes(event.get("attributes"))
        at = time_of(event, "timeUnixNano") if event.get("timeUnixNano") else start
        if at.date() != day:
            continue
        value = _number(given.get("gen_ai.evaluation.score.value"))
        rows.append(
            {
                "score_id": f"{id_of(span, 'spanId')}:{number}",
                "project_id": project_id,
                "name": text_of(given.get("gen_ai.evaluation.name")),
                "source": "EVAL",
                "data_type": "NUMERIC" if value is not None else "CATEGORICAL",
                "value": value,
                "string_value": text_of(given.get("gen_ai.evaluation.score.label")),
                "comment": text_of(given.get("gen_ai.evaluation.explanation")),
                "timestamp": at,
                "updated_at": at,
                "environment": text_of(first_of({**resource, **attributes}, _ENVIRONMENT)),
                "subject_kind": "observation",
                "trace_id": id_of(span, "traceId"),
                "observation_id": id_of(span, "spanId"),
                "metadata": "{}",
            }
        )
    return rows


def spans_of(line: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    for group in line.get("resourceSpans") or []:
        resource = _attributes((group.get("resource") or {}).get("attributes"))
        for scope in group.get("scopeSpans") or []:
            for span in scope.get("spans") or []:
                yield span, _attributes(span.get("attributes")), resource


def _attributes(pairs: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {
        str(pair["key"]): _value(pair.get("value") or {}) for pair in pairs or [] if "key" in pair
    }


def _value(value: Mapping[str, Any]) -> Any:
    """An OTLP AnyValue. 64-bit integers come as text."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [_value(item) for item in content.get("values") or []]
        if kind == "kvlistValue":
            return _attributes(content.get("values"))
        return content
    return None


def time_of(span: Mapping[str, Any], name: str) -> datetime:
    """Rounded down to a millisecond, as Langfuse stores it."""
    return datetime.fromtimestamp(int(span[name]) // 1_000_000 / 1000, UTC)


def id_of(span: Mapping[str, Any], name: str) -> str:
    text = str(span.get(name) or "").lower()
    return "" if set(text) <= {"0"} else text


def first_of(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next(
        (attributes[name] for name in names if attributes.get(name) not in (None, "")), None
    )


def text_of(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _type(attributes: Mapping[str, Any]) -> str:
    own = attributes.get("langfuse.observation.type")
    if own:
        return str(own).upper()
    by_operation = _TYPES.get(str(attributes.get("gen_ai.operation.name") or ""))
    if by_operation:
        return by_operation
    return "GENERATION" if first_of(attributes, _MODEL) else "SPAN"


def _usage(attributes: Mapping[str, Any]) -> str:
    own = attributes.get("langfuse.observation.usage_details")
    if own:
        return text_of(own)
    counts = {
        name: value
        for name, value in attributes.items()
        if name.startswith("gen_ai.usage.") and isinstance(value, int | float)
    }
    # Names before 1.27; the newer ones win where both are set.
    for old, new in (("prompt", "input"), ("completion", "output")):
        if f"gen_ai.usage.{new}_tokens" in counts:
            counts.pop(f"gen_ai.usage.{old}_tokens", None)
    return json.dumps(counts)


def _parameters(attributes: Mapping[str, Any]) -> str:
    start = "gen_ai.request."
    return json.dumps(
        {
            name.removeprefix(start): value
            for name, value in attributes.items()
            if name.startswith(start) and name != "gen_ai.request.model"
        }
    )


def metadata_of(attributes: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            f"attributes.{name}": value
            for name, value in attributes.items()
            if not name.startswith(_TEXT)
        },
        ensure_ascii=False,
    )
