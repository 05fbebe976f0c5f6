"""What is needed to run a past request again."""

from __future__ import annotations

import json

import pytest

from llmops_jobs.errors import UserError
from llmops_jobs.lake import Lake
from llmops_jobs.versions.reproduce import calls_of
from tests.facts import DAY, PROJECT, facts


@pytest.fixture
def filled(lake: Lake) -> Lake:
    call = {
        "trace_id": "t1",
        "model_parameters": '{"temperature":0.2}',
        "tool_names": '["search"]',
        "prompt_version": 3,
        "release": "r9",
    }
    lake.replace_day("observations", PROJECT, DAY, facts("observations", [call, {}]))
    text = {"trace_id": "t1", "input": "hello", "output": "hi", "metadata": "{}"}
    lake.replace_day("observation_text", PROJECT, DAY, facts("observation_text", [text]))
    return lake


def test_everything_but_the_text_is_given(filled: Lake) -> None:
    (call,) = calls_of(filled, PROJECT, "t1", None, content=False)
    assert call["prompt"] == {"name": "chat", "version": 3}
    assert call["model"]["parameters"] == {"temperature": 0.2}
    assert call["tools"] == ["search"]
    assert "hello" not in json.dumps(call)


def test_text_is_given_when_asked_for(filled: Lake) -> None:
    (call,) = calls_of(filled, PROJECT, "t1", DAY, content=True)
    assert (call["input"], call["output"]) == ("hello", "hi")


def test_a_trace_that_is_not_there_is_named(filled: Lake) -> None:
    with pytest.raises(UserError, match="trace t9 has no model call in 1 days of the lake"):
        calls_of(filled, PROJECT, "t9", None, content=False)
