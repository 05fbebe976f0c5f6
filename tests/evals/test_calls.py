from __future__ import annotations

import json

import pytest

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.reading import read_calls
from llmops_jobs.evals.scorer import run
from llmops_jobs.evals.scorers.shape import truncated
from llmops_jobs.evals.tools import ToolCall
from tests.facts import facts


def _call(raw_input: str = "", raw_output: str = "", **more: str) -> Call:
    return Call("t", "o", raw_input, raw_output, **more)


def _chat(*messages: tuple[str, object]) -> str:
    return json.dumps([{"role": role, "content": content} for role, content in messages])


def test_the_question_is_the_last_user_message_without_the_context() -> None:
    call = _call(
        _chat(
            ("system", "Answer from the passages between <context> and </context>."),
            ("user", "Hello"),
            ("assistant", "Hi"),
            ("user", "<context>Parcels to Leeds take 3 working days.</context>\nHow long?"),
        )
    )
    assert call.question == "How long?"
    assert call.context == "Parcels to Leeds take 3 working days."
    assert call.instructions == "Answer from the passages between <context> and </context>."


def test_context_is_read_from_metadata_and_from_tools_that_return_prose() -> None:
    documents = json.dumps({"documents": [{"page_content": "One."}, {"text": "Two."}]})
    assert _call("q", "a", metadata=documents).context == "One.\nTwo."
    records = _chat(("user", "q"), ("tool", '{"rows":[]}'))
    assert _call(records).context == ""
    assert _call(_chat(("user", "q"), ("tool", "A passage."))).context == "A passage."


def test_outputs_in_the_envelopes_of_providers_give_the_answer_and_the_tool_calls() -> None:
    function = {"name": "find", "arguments": '{"id": 3}'}
    openai = {"choices": [{"message": {"role": "assistant", "content": "Yes."}}]}
    tools = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    anthropic = [
        {"type": "text", "text": "Looking."},
        {"type": "tool_use", "name": "find", "input": {"id": 3}},
    ]
    assert _call("q", json.dumps(openai)).answer == "Yes."
    assert _call("q", json.dumps(tools)).answer == ""
    assert _call("q", json.dumps(tools)).tool_calls[0].arguments == {"id": 3}
    assert _call("q", json.dumps(anthropic)).answer == "Looking."
    assert _call("q", json.dumps(anthropic)).tool_calls[0].name == "find"
    assert _call("q", json.dumps("plain")).answer == "plain"


@pytest.mark.parametrize(
    "output",
    [
        {"choices": [{"message": {"role": "assistant", "tool_calls": [
            {"id": "1", "function": {"name": "find", "arguments": '{"id": 3}'}}]}}]},
        {"role": "assistant", "content": None,
         "function_call": {"name": "find", "arguments": '{"id": 3}'}},
        {"object": "response", "output": [{"type": "reasoning", "summary": []},
         {"type": "function_call", "name": "find", "arguments": '{"id": 3}'}]},
        {"type": "message", "role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm."},
            {"type": "tool_use", "name": "find", "input": {"id": 3}}]},
        {"candidates": [{"content": {"role": "model", "parts": [
            {"thought": True, "text": "Hm."}, {"functionCall": {"name": "find", "args": {"id": 3}}}
        ]}}]},
        {"output": {"message": {"role": "assistant", "content": [
            {"toolUse": {"name": "find", "input": {"id": 3}}}]}}, "stopReason": "tool_use"},
        {"message": {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "find", "arguments": {"id": 3}}}]}, "done": True},
        {"type": "ai", "content": "", "tool_calls": [{"name": "find", "args": {"id": 3}}]},
        {"generations": [[{"text": "", "message": {"kwargs": {"content": "", "tool_calls": [
            {"name": "find", "args": {"id": 3}}]}}}]]},
        [{"type": "tool-call", "toolName": "find", "args": {"id": 3}}],
        {"text": "", "finishReason": "tool-calls", "toolCalls": [
            {"toolName": "find", "input": {"id": 3}}]},
        [{"role": "assistant", "parts": [
            {"type": "tool_call", "name": "find", "arguments": '{"id": 3}'}]}],
    ],
)  # fmt: skip
def test_a_tool_call_is_one_in_the_shape_of_every_provider(output: object) -> None:
    call = _call("q", json.dumps(output))
    assert call.answer == "" and call.tool_calls == (ToolCall("find", {"id": 3}),)


def test_a_tool_called_without_arguments_was_called_with_none() -> None:
    for given in ({"arguments": ""}, {"arguments": None}, {}):
        message = {"role": "assistant", "tool_calls": [{"function": {"name": "now", **given}}]}
        assert _call("q", json.dumps(message)).tool_calls == (ToolCall("now", {}),)


@pytest.mark.parametrize(
    "output",
    [
        {"choices": [{"message": {"role": "assistant", "content": "a"},
                      "finish_reason": "length"}]},
        {"role": "assistant", "content": "a", "stop_reason": "max_tokens"},
        {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "MAX_TOKENS"}]},
        {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finish_reason": 2}]},
        {"object": "response", "status": "incomplete", "output": [],
         "incomplete_details": {"reason": "max_output_tokens"}},
        {"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}},
         "stopReason": "max_tokens"},
        {"message": {"role": "assistant", "content": "a"}, "done_reason": "length"},
    ],
)  # fmt: skip
def test_an_answer_that_was_cut_off_is_known_by_its_envelope(output: object) -> None:
    assert run(truncated, Batch([_call("q", json.dumps(output))]))[0].passed is False


def test_the_limit_is_known_under_every_name_and_a_full_stop_is_not() -> None:
    for reason in ("length", "MAX_TOKENS", "FinishReason.MAX_TOKENS", '["length"]', "max-tokens",
                   "model_context_window_exceeded", "model_length"):  # fmt: skip
        assert run(truncated, Batch([_call("q", "a", finish_reason=reason)]))[0].passed is False
    for reason in ("stop", "end_turn", "STOP", "tool_calls", "content_filter", "SAFETY"):
        assert run(truncated, Batch([_call("q", "a", finish_reason=reason)]))[0].passed is True


def test_what_a_tool_gave_back_is_not_what_the_user_asked() -> None:
    result = {"type": "tool_result", "tool_use_id": "1", "content": "Parcels take 3 days."}
    call = _call(_chat(("user", "How long?"), ("assistant", "Hm."), ("user", [result])))
    assert (call.question, call.context) == ("How long?", "Parcels take 3 days.")


def test_the_tools_offered_are_read_in_every_form() -> None:
    schema = {"type": "object", "required": ["id"]}
    forms = (
        {"type": "function", "function": {"name": "find", "parameters": schema}},
        {"name": "find", "input_schema": schema},
        {"functionDeclarations": [{"name": "find", "parameters": schema}]},
        {"toolSpec": {"name": "find", "inputSchema": {"json": schema}}},
        json.dumps({"type": "function", "name": "find", "inputSchema": schema}),
    )
    for form in forms:
        asked = json.dumps({"messages": [], "tools": [form]})
        assert _call(asked, "a").tools == {"find": schema}
        flat = json.dumps({"attributes.gen_ai.tool.definitions": json.dumps([form])})
        assert _call("q", "a", metadata=flat).tools == {"find": schema}


def test_json_that_is_itself_the_answer_stays_as_it_was_written() -> None:
    assert _call("q", '{"a": 1}').answer == '{"a": 1}'
    assert _call("q", "[1, 2]").answer == "[1, 2]"
    assert _call("q", '{"a": ').answer == '{"a": '
    for answer in ('{"role": "engineer", "content": 3}', '{"role": "assistant"}', '[{"a": 1}]',
                   '{"message": "hello"}', '{"content": "hello"}', '{"output": "hello"}',
                   '{"text": "hello", "lang": "en"}', '{"choices": ["a", "b"]}'):  # fmt: skip
        assert _call("q", answer).answer == answer and not _call("q", answer).tool_calls


def test_whatever_a_text_is_it_is_no_error() -> None:
    for text in ("", "null", "[[[", "\ud800", "مرحبا", "[" * 100_000, '{"role": 3}', "[null, 1]"):
        call = _call(text, text, metadata=text, model_parameters=text)
        for name in ("question", "instructions", "context", "answer"):
            assert isinstance(getattr(call, name), str)
        assert call.tool_calls == () and dict(call.tools) == {}


def test_calls_are_read_with_what_the_observation_says() -> None:
    text = facts("observation_text", [{"trace_id": "t", "observation_id": "o", "input": "q"}])
    about = facts("observations", [{"trace_id": "t", "observation_id": "o", "prompt_version": 4}])
    (call,) = read_calls(text, about)
    assert (call.raw_input, call.prompt_version, call.feature) == ("q", "4", "chat")
