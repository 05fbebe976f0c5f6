"""Tools in the shapes of `envelopes`: those that a reply calls, and those that were offered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops_jobs.evals.envelopes import TOOL_PARTS, as_list, parsed_once

_INNER = ("function", "functionCall", "function_call", "toolUse")
_SCHEMAS = (
    "parameters", "input_schema", "inputSchema", "parameters_json_schema", "parametersJsonSchema",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Any  # what it was called with; a string when it was not JSON


def tool_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """The tools that a reply asks for, in their order."""
    extra = message.get("additional_kwargs")
    listed = as_list(message.get("tool_calls")) or (
        as_list(extra.get("tool_calls")) if isinstance(extra, dict) else []
    )
    found = [_tool_call(item) for item in listed]
    in_parts = [_tool_call(part) for part in _parts(message) if _asks_for_tool(part)]
    # Some frameworks write the same calls in both places.
    found = found or in_parts
    if isinstance(message.get("function_call"), dict):
        found.append(_tool_call(message["function_call"]))
    return tuple(each for each in found if each is not None)


def offered(value: Any) -> Iterator[tuple[str, Any]]:
    """(name, JSON Schema of the arguments or {}) of every tool in a list of them."""
    for tool in as_list(parsed_once(value)):
        tool = parsed_once(tool)
        if not isinstance(tool, dict):
            continue
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        if declared:
            yield from offered(declared)
            continue
        inner = next(
            (tool[k] for k in ("function", "toolSpec") if isinstance(tool.get(k), dict)), tool
        )
        name = inner.get("name")
        if name:
            schema = parsed_once(next((inner[key] for key in _SCHEMAS if inner.get(key)), {}))
            if isinstance(schema, dict):
                yield str(name), schema.get("json", schema)


def _parts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("content", "parts"):
        for part in as_list(message.get(key)):
            if isinstance(part, dict):
                yield part


def _asks_for_tool(part: dict[str, Any]) -> bool:
    if part.get("type") in TOOL_PARTS or part.get("part_kind") == "tool-call":
        return True
    return "toolName" in part or any(isinstance(part.get(key), dict) for key in _INNER)


def _tool_call(item: Any) -> ToolCall | None:
    if not isinstance(item, dict):
        return None
    inner = next((item[key] for key in _INNER if isinstance(item.get(key), dict)), item)
    name = next((inner[key] for key in ("name", "toolName", "tool_name") if inner.get(key)), None)
    if not name:
        return None
    given = next((inner[key] for key in ("arguments", "args", "input") if key in inner), None)
    return ToolCall(str(name), {} if given in (None, "") else parsed_once(given))
