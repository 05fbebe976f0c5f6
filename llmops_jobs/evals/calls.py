"""A model call as the scorers see it: question, instructions, context, answer.

Applications write inputs and outputs in many shapes (a chat's messages as JSON, a provider's whole
response, a plain string); this module is the one place that tells them apart. Whatever it cannot
read stays what it was, a string: no text is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

#: Longer texts are read up to here by everything that searches words or patterns.
READ_LIMIT = 32_000

_CONTEXT = re.compile(r"<context>(.*?)(?:</context>|\Z)", re.DOTALL | re.IGNORECASE)
# Between the tags of an instruction that only names them ("between <context> and </context>").
_MENTION = 20
_CONTEXT_KEYS = ("context", "contexts", "documents", "retrieved_documents", "retrieved_context")
_TEXT_KEYS = ("text", "content", "page_content", "output_text", "output", "answer", "completion")


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Any  # what it was called with; a string when it was not JSON


@dataclass(frozen=True)
class Call:
    """One model call with its text. `answer` is what the user reads; a call that only calls tools
    has none. Strings are '' where there is nothing."""

    trace_id: str
    observation_id: str
    raw_input: str
    raw_output: str
    metadata: str = "{}"
    inclusion_probability: float = 1.0
    model: str = ""
    feature: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    finish_reason: str = ""
    model_parameters: str = "{}"
    level: str = "DEFAULT"
    user_id: str = ""

    @cached_property
    def _messages(self) -> list[Any]:
        parsed = _json(self.raw_input)
        if isinstance(parsed, dict):
            parsed = parsed.get("messages") or parsed.get("input") or parsed.get("prompt") or parsed
        if isinstance(parsed, list):
            return parsed
        return [{"role": "user", "content": parsed if parsed is not None else self.raw_input}]

    @cached_property
    def _question_and_inline_context(self) -> tuple[str, str]:
        last, found = "", []
        for message in self._messages:
            text = _text(message)
            if "<context>" in text.lower():
                found += [part for part in _CONTEXT.findall(text) if len(part) > _MENTION]
                text = _CONTEXT.sub(lambda m: m[0] if len(m[1]) <= _MENTION else " ", text)
            if _role(message) in ("user", "human", "") and text.strip():
                last = text.strip()
        return last, "\n".join(found).strip()

    @property
    def question(self) -> str:
        """The user's last message, without the retrieved context in it."""
        return self._question_and_inline_context[0]

    @cached_property
    def instructions(self) -> str:
        """The system's messages."""
        system = (m for m in self._messages if _role(m) in ("system", "developer"))
        return "\n".join(_text(m) for m in system)

    @cached_property
    def context(self) -> str:
        """What was retrieved: between <context> tags of the input, in metadata, or from a tool."""
        inline = self._question_and_inline_context[1]
        if inline:
            return inline
        metadata = self.metadata_object
        for key in _CONTEXT_KEYS:
            if metadata.get(key):
                return _text(metadata[key])
        # A tool that returns records is no passage to be held against; one that returns prose is.
        results = [_text(m) for m in self._messages if _role(m) in ("tool", "function")]
        return "\n".join(r for r in results if r.lstrip()[:1] not in ("{", "["))

    @cached_property
    def metadata_object(self) -> Mapping[str, Any]:
        parsed = _json(self.metadata)
        return parsed if isinstance(parsed, dict) else {}

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        parsed = _json(self.model_parameters)
        return parsed if isinstance(parsed, dict) else {}

    @cached_property
    def _reply(self) -> Any:
        """The output with a provider's envelope taken off."""
        text = self.raw_output.strip()
        if not text.startswith(("{", "[", '"')):
            return self.raw_output
        parsed = _json(text)
        if isinstance(parsed, dict) and isinstance(parsed.get("choices"), list):
            first = parsed["choices"][0] if parsed["choices"] else None
            parsed = first.get("message", first) if isinstance(first, dict) else first
        if isinstance(parsed, str):
            return parsed
        if isinstance(parsed, dict) and ("role" in parsed or "tool_calls" in parsed):
            return parsed
        if isinstance(parsed, list) and parsed and all(_is_part(part) for part in parsed):
            return {"role": "assistant", "content": parsed}
        return self.raw_output  # JSON that is itself the answer

    @cached_property
    def answer(self) -> str:
        reply = self._reply
        return reply if isinstance(reply, str) else _text(reply)

    @cached_property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the answer asks for, in the shapes of OpenAI, Anthropic and LangChain."""
        reply = self._reply
        if not isinstance(reply, dict):
            return ()
        found = []
        for item in _list(reply.get("tool_calls")) + _list(reply.get("content")):
            if not isinstance(item, dict):
                continue
            function = item["function"] if isinstance(item.get("function"), dict) else item
            if not function.get("name") or "text" in function:
                continue
            arguments: Any = next(
                (function[k] for k in ("arguments", "args", "input") if k in function), {}
            )
            found.append(ToolCall(str(function["name"]), _parsed(arguments)))
        if isinstance(reply.get("function_call"), dict):
            function = reply["function_call"]
            found.append(
                ToolCall(str(function.get("name", "")), _parsed(function.get("arguments")))
            )
        return tuple(found)

    @cached_property
    def tools(self) -> Mapping[str, Any]:
        """The tools offered: name -> JSON Schema of the arguments (or {} where none is given)."""
        listed: list[Any] = []
        parsed = _json(self.raw_input) if self.raw_input.lstrip().startswith("{") else None
        for place in (parsed, self.metadata_object, self.parameters):
            if isinstance(place, dict):
                listed += _list(_parsed(place.get("tools")))
        found = {}
        for tool in listed:
            if isinstance(tool, dict):
                function = tool["function"] if isinstance(tool.get("function"), dict) else tool
                if function.get("name"):
                    schema = function.get("parameters") or function.get("input_schema") or {}
                    found[str(function["name"])] = schema
        return found


def _json(text: str) -> Any:
    if not text or text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None


def _parsed(value: Any) -> Any:
    """JSON within JSON, opened once; a string that is not JSON stays."""
    if not isinstance(value, str):
        return value
    parsed = _json(value)
    return value if parsed is None else parsed


def _role(message: Any) -> str:
    if not isinstance(message, dict):
        return ""
    return str(message.get("role") or message.get("type") or "").lower()


def _text(value: Any) -> str:
    """Every text in a message, a list of content parts or a list of documents."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, (_text(item) for item in value)))
    if isinstance(value, dict):
        for key in ("content", "parts", *_TEXT_KEYS):
            if value.get(key):
                return _text(value[key])
        return ""
    return "" if value is None else str(value)


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("text", "tool_use", "output_text")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
