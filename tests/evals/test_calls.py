from __future__ import annotations

import json

from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.reading import read_calls
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


def test_json_that_is_itself_the_answer_stays_as_it_was_written() -> None:
    assert _call("q", '{"a": 1}').answer == '{"a": 1}'
    assert _call("q", "[1, 2]").answer == "[1, 2]"
    assert _call("q", '{"a": ').answer == '{"a": '


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
