"""Schemas out of traces: hostile ones cost neither time nor a request, and never a verdict."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.scorer import run
from llmops_jobs.evals.scorers.schemas import UnusableError, broken
from llmops_jobs.evals.scorers.structure import check_json, tool_calls

_LAUGHS = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    | {"d40": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "#"}, "cannot be applied"),
        ({"$ref": "https://schemas.example.com/x.json"}, "refers to what is not in it"),
        (_LAUGHS, "takes too long"),
        ({"type": "OBJECT"}, "is not valid"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "beyond"),
    ],
)
def test_a_schema_that_cannot_be_applied_is_no_failure_of_the_answer(
    schema: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a schema made a request")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    found = check_json('{"a": 1}', schema)
    assert (found.status, found.passed) == ("skipped", None) and why in found.reason
    assert check_json("no JSON", schema).passed is False


@pytest.mark.parametrize(
    ("value", "schema", "wrong"),
    [
        ("a" * 5000 + "!", {"pattern": "^(a+)+$"}, "pattern"),
        ({"a" * 60 + "!": 1}, {"patternProperties": {"^(a+)+$": {}},
                               "additionalProperties": False}, "additionalProperties"),
        ([{"a": i} for i in range(9000)], {"uniqueItems": True}, ""),
        ([{"a": 1}, {"a": 1}], {"uniqueItems": True}, "uniqueItems"),
        ("x", {"enum": [str(i) for i in range(100_000)]}, "enum"),
        ("ab1", {"pattern": r"^(?=.*\d)"}, ""),  # RE2 does not know it
        ({"a": "x"}, {"properties": {"a": {"type": "integer"}}}, "type at properties/a/type"),
        ({"x1": "s"}, {"patternProperties": {"^x": {"type": "integer"}}}, "type"),
        ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": {"type": "string"}}, "type"),
        ({}, {"$schema": "http://json-schema.org/draft-07/schema#", "required": ["a"]}, "required"),
        ({}, {"$schema": "https://unknown.example.com/meta", "type": "object"}, ""),
    ],
)  # fmt: skip
def test_long_work_is_short_and_the_verdict_stays_right(
    value: Any, schema: Any, wrong: str
) -> None:
    start = time.process_time()
    found = broken(value, schema)
    assert (wrong in found) if wrong else found == ""
    assert time.process_time() - start < 5  # the library's own engine takes years


def test_too_large_an_answer_is_held_against_no_schema() -> None:
    with pytest.raises(UnusableError, match="too long"):
        broken({}, {"type": "object"}, 1_000_000)


def test_a_tool_whose_schema_is_none_is_called_without_a_mistake() -> None:
    tool = {"name": "find", "parameters": {"type": "OBJECT"}}
    made = {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": "{}"}}]}
    call = Call("t", "o", json.dumps({"messages": [], "tools": [tool]}), json.dumps(made))
    (found,) = run(tool_calls, Batch([call]))
    assert found.passed
