"""The `filter` parameter of observations: a JSON list, compiled to one predicate per row."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.errors import bad_option, custom, invalid, kind_of, refused, wrong_type
from llmops_jobs.demo.server.times import lenient

Predicate = Callable[[Row], bool]

TEXT = ("=", "contains", "does not contain", "starts with", "ends with", "matches")
NUMBER = ("=", ">", "<", ">=", "<=")
OPERATORS: dict[str, tuple[str, ...]] = {
    "datetime": (">", "<", ">=", "<="),
    "string": TEXT,
    "number": NUMBER,
    "stringOptions": ("any of", "none of"),
    "categoryOptions": ("any of", "none of"),
    "arrayOptions": ("any of", "none of", "all of"),
    "stringObject": TEXT,
    "numberObject": NUMBER,
    "booleanObject": ("=", "<>"),
    "boolean": ("=", "<>"),
    "null": ("is null", "is not null"),
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne,
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


def _per_second(row: Row) -> float | None:
    return row["totalUsage"] / row["latency"] if row["latency"] else None


# Column of a filter -> its value in a row. A name that is not here is refused.
COLUMNS: dict[str, Callable[[Row], Any]] = {
    **{
        name: operator.itemgetter(name)
        for name in (
            "id", "type", "name", "traceId", "startTime", "endTime", "environment", "level",
            "statusMessage", "version", "userId", "sessionId", "isRootObservation", "traceName",
            "tags", "latency", "timeToFirstToken", "inputCost", "outputCost", "totalCost",
            "model", "promptName", "promptVersion", "input", "output", "metadata", "release",
            "parentObservationId", "modelId",
        )
    },
    "traceTags": operator.itemgetter("tags"),
    "traceEnvironment": operator.itemgetter("environment"),
    "providedModelName": operator.itemgetter("model"),
    "inputTokens": operator.itemgetter("inputUsage"),
    "outputTokens": operator.itemgetter("outputUsage"),
    "totalTokens": operator.itemgetter("totalUsage"),
    "tokens": operator.itemgetter("totalUsage"),
    "tokensPerSecond": _per_second,
    "hasParentObservation": lambda row: row["parentObservationId"] is not None,
    "hasInput": lambda row: bool(row["input"]),
    "hasOutput": lambda row: bool(row["output"]),
    "ingestionSdkName": lambda row: (row["metadata"] or {}).get("scope.name", ""),
    "ingestionSdkVersion": lambda row: (row["metadata"] or {}).get("scope.version", ""),
    "experimentId": lambda row: row.get("experimentId", ""),
    "experimentName": lambda row: row.get("experimentName", ""),
}  # fmt: skip


@dataclass
class Filter:
    """The predicates, and what they say about time so that days can be skipped."""

    predicates: list[Predicate] = field(default_factory=list)
    on_start_time: bool = False
    reads_whole: bool = False  # of metadata or text: the server then reads its wide table
    ended_from: str | None = None
    started_from: str | None = None
    started_before: str | None = None


def parse(text: str) -> Filter:
    """Raises ApiError (400) as the server would."""
    try:
        conditions = json.loads(text)
    except ValueError:
        raise refused("Invalid JSON in filter parameter") from None
    if not isinstance(conditions, list):
        raise invalid(wrong_type(["filter"], "array", kind_of(conditions)))
    parsed = Filter()
    searched = [c for c in conditions if isinstance(c, dict) and c.get("column") in _TEXT_COLUMNS]
    for place, condition in enumerate(conditions):
        _check(condition, ["filter", place])
        column, kind = condition["column"], condition["type"]
        if column not in COLUMNS:
            raise refused(f"Column {column} does not match a UI / CH table mapping.")
        _note_time(parsed, column, kind, condition)
        parsed.reads_whole |= column in ("metadata", *_TEXT_COLUMNS)
        parsed.predicates.append(_predicate(condition))
    if searched and not any(c.get("operator") in ("=", "matches") for c in searched):
        raise refused("Filters on input or output need at least one '=' or 'matches' condition.")
    return parsed


_TEXT_COLUMNS = ("input", "output")


def _check(condition: Any, path: list[Any]) -> None:
    if not isinstance(condition, dict):
        raise invalid(wrong_type(path, "object", kind_of(condition)))
    kind = condition.get("type")
    if kind not in OPERATORS:
        raise invalid({
            "code": "invalid_union",
            "errors": [],
            "note": "No matching discriminator",
            "discriminator": "type",
            "path": [*path, "type"],
            "message": "Invalid input",
        })  # fmt: skip
    if not isinstance(condition.get("column"), str):
        raise invalid(wrong_type([*path, "column"], "string", _received(condition, "column")))
    if condition.get("operator") not in OPERATORS[kind]:
        raise invalid(bad_option([*path, "operator"], OPERATORS[kind]))
    if kind in ("stringObject", "numberObject", "booleanObject", "categoryOptions") and (
        not isinstance(condition.get("key"), str)
    ):
        raise invalid(wrong_type([*path, "key"], "string", _received(condition, "key")))
    expected = {
        "number": "number", "numberObject": "number",
        "string": "string", "stringObject": "string", "null": "string",
        "boolean": "boolean", "booleanObject": "boolean",
        "stringOptions": "array", "arrayOptions": "array", "categoryOptions": "array",
    }.get(kind)  # fmt: skip
    value = condition.get("value")
    if expected and ("value" not in condition or kind_of(value) != expected):
        raise invalid(wrong_type([*path, "value"], expected, _received(condition, "value")))
    if kind == "stringOptions" and not value:
        raise invalid(custom([*path, "value"], "Invalid input"))
    if kind == "datetime" and (not isinstance(value, str) or lenient(value) is None):
        raise invalid(wrong_type([*path, "value"], "date", "Date"))


def _received(condition: dict[str, Any], key: str) -> str:
    return kind_of(condition[key]) if key in condition else "undefined"


def _note_time(parsed: Filter, column: str, kind: str, condition: dict[str, Any]) -> None:
    if column == "startTime":
        parsed.on_start_time = True
    if kind != "datetime":
        return
    value, after = lenient(condition["value"]), condition["operator"] in (">", ">=")
    if column == "endTime" and after:
        parsed.ended_from = max(parsed.ended_from or "", value or "")
    elif column == "startTime" and after:
        parsed.started_from = max(parsed.started_from or "", value or "")
    elif column == "startTime" and condition["operator"] == "<":
        parsed.started_before = min(parsed.started_before or value or "", value or "")


def _predicate(condition: dict[str, Any]) -> Predicate:
    kind, how, wanted = condition["type"], condition["operator"], condition["value"]
    read = COLUMNS[condition["column"]]
    if kind == "datetime":
        moment = lenient(wanted)
        compare = _COMPARE[how]
        return lambda row: bool(value := read(row)) and compare(value, moment)
    if kind in ("number", "boolean"):
        compare = _COMPARE[how]
        return lambda row: (value := read(row)) is not None and compare(value, wanted)
    if kind == "string":
        match = _text(how, wanted)
        return lambda row: match(_words(read(row)))
    if kind in ("stringOptions", "categoryOptions"):
        options, negate = set(wanted), how == "none of"
        if kind == "categoryOptions":
            read = _entry(read, condition["key"])
        return lambda row: (_words(read(row)) in options) != negate
    if kind == "arrayOptions":
        options = set(wanted)
        if how == "all of":
            return lambda row: options <= set(read(row) or ())
        return lambda row: bool(options & set(read(row) or ())) != (how == "none of")
    if kind == "null":
        return lambda row: (read(row) in (None, "")) == (how == "is null")
    entry = _entry(read, condition["key"])
    if kind == "stringObject":
        match = _text(how, wanted)
        negative = how == "does not contain"
        return lambda row: negative if (value := entry(row)) is None else match(_stored(value))
    compare = _COMPARE[how]
    return lambda row: (
        isinstance(value := entry(row), int | float)
        and isinstance(value, bool) == (kind == "booleanObject")
        and compare(value, wanted)
    )


def _entry(read: Callable[[Row], Any], key: str) -> Callable[[Row], Any]:
    return lambda row: (read(row) or {}).get(key)


def _words(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _stored(value: Any) -> str:
    """Metadata as the server keeps it: JSON text, so that a string carries its quotes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(how: str, wanted: str) -> Callable[[str], bool]:
    if how == "=":
        return lambda value: value == wanted
    if how == "contains":
        return lambda value: wanted in value
    if how == "does not contain":
        return lambda value: wanted not in value
    if how == "starts with":
        return lambda value: value.startswith(wanted)
    if how == "ends with":
        return lambda value: value.endswith(wanted)
    words = wanted.lower().split()
    return lambda value: all(word in value.lower() for word in words)
