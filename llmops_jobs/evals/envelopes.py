"""The shapes in which providers and frameworks write messages, replies and tools.

OpenAI (chat and responses), Anthropic, Gemini and Vertex, Bedrock, Cohere, Ollama, LangChain, the
Vercel AI SDK, Pydantic AI, OpenTelemetry's message parts, and instrumentations that flatten a chat
into one text. What is of none of them is not recognised, and stays what it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_TEXT_KEYS = ("text", "content", "page_content", "output_text", "output", "answer", "completion")
_ANSWERS = ("assistant", "model", "ai")
_MESSAGE_KEYS = ("content", "parts", "tool_calls", "function_call", "additional_kwargs", "refusal")
TOOL_PARTS = ("tool_use", "tool_call", "tool-call", "function_call", "server_tool_use")
_RESULT_PARTS = (
    "tool_result", "tool-result", "tool_call_response", "function_call_output", "tool_call_output",
)  # fmt: skip
_RESULT_KEYS = ("functionResponse", "function_response", "toolResult")
_THOUGHTS = ("reasoning", "thinking", "redacted_thinking")
_FINISH = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")
_FINISH_NUMBERS = {1: "stop", 2: "max_tokens", 3: "safety", 4: "recitation"}
# A chat that an instrumentation flattened: "system: ...\nuser: ...".
_FLAT = re.compile(r"^(system|developer|user|human|assistant|tool): ", re.MULTILINE)
_REPR = re.compile(r"""\Arole='(\w+)' content=(?:None|(['"])(.*?)\2) name=""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's message without its envelope, and why it ended, as far as that is told."""

    message: dict[str, Any]
    finish_reason: str = ""


def reply(parsed: Any) -> Reply | None:
    """The reply in an output; None for JSON that is itself the answer."""
    if isinstance(parsed, list):
        return _of_list(parsed)
    if not isinstance(parsed, dict):
        return None
    outer = _finish(parsed)
    for key in ("choices", "candidates", "generations"):
        held = parsed.get(key)
        while isinstance(held, list) and held:
            held = held[0]
        if isinstance(held, dict):
            inner = held.get("message", held.get("content", held))
            message = _message(inner) or _message({"role": "assistant", "content": held})
            return Reply(message or {}, _finish(held) or outer)
    output = parsed.get("output")
    if parsed.get("object") == "response" and isinstance(output, list):
        details = parsed.get("incomplete_details")
        reason = str(details.get("reason") or "") if isinstance(details, dict) else ""
        return Reply({"role": "assistant", "content": output}, reason or outer)
    if isinstance(output, dict) and "message" in output:  # Bedrock
        parsed = output
    for inner in (parsed.get("message"), parsed.get("content"), parsed):
        message = _message(inner)
        if message is not None:
            return Reply(message, outer or _finish(message))
    if "toolCalls" in parsed or ("text" in parsed and "finishReason" in parsed):  # Vercel AI SDK
        parts = [{"type": "text", "text": parsed.get("text")}, *as_list(parsed.get("toolCalls"))]
        return Reply({"role": "assistant", "content": parts}, outer)
    return None


def messages(parsed: Any, raw: str) -> list[Any]:
    """The messages of an input, the instructions that stand beside them first."""
    if isinstance(parsed, dict):
        beside = parsed.get("config") if isinstance(parsed.get("config"), dict) else parsed
        told: Any = next(
            (
                held[key]
                for held in (parsed, beside)
                for key in ("system", "system_instruction", "systemInstruction", "instructions")
                if isinstance(held, dict) and held.get(key)
            ),
            None,
        )
        if _message_like(parsed):
            return [parsed]
        found = next(
            (parsed[k] for k in ("messages", "input", "contents", "prompt") if parsed.get(k)),
            parsed,
        )
        listed = found if isinstance(found, list) else [{"role": "user", "content": found}]
        listed = [_from_repr(each) for each in listed]
        return [{"role": "system", "content": told}, *listed] if told else listed
    if isinstance(parsed, list):
        return parsed
    text = parsed if isinstance(parsed, str) else raw
    return _flat(text) or [{"role": "user", "content": text}]


def role(message: Any) -> str:
    """Who speaks: '' where it is not told, as for a plain text."""
    if not isinstance(message, dict):
        return ""
    return str(message.get("role") or message.get("type") or "").lower()


def text(value: Any) -> str:
    """Every text in a message, a list of content parts or a list of documents; neither what a
    model thought nor what a tool gave back to it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, (text(item) for item in value)))
    if isinstance(value, dict):
        if value.get("type") in _THOUGHTS or value.get("thought") is True or _is_result(value):
            return ""
        for key in ("content", "parts", *_TEXT_KEYS):
            if value.get(key):
                return text(value[key])
        return ""
    return "" if value is None else str(value)


def results(message: Any) -> Iterator[str]:
    """What tools gave back, where a message holds it in parts."""
    parts = message.get("content") or message.get("parts") if isinstance(message, dict) else None
    for part in as_list(parts) if not _is_result(message) else [message]:
        if _is_result(part):
            inner = next((part[k] for k in _RESULT_KEYS if isinstance(part.get(k), dict)), part)
            given = (inner.get(k) for k in ("content", "output", "response", "result"))
            yield text(next((each for each in given if each), ""))


def json_in(text: str) -> Any:
    """The JSON that a text is; None when it is none."""
    if not text or text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None


def parsed_once(value: Any) -> Any:
    """JSON within JSON, opened once; a string that is not JSON stays."""
    if not isinstance(value, str):
        return value
    parsed = json_in(value)
    return value if parsed is None else parsed


def _of_list(parsed: list[Any]) -> Reply | None:
    if not parsed or not all(isinstance(item, dict) for item in parsed):
        return None
    answers = [item for item in parsed if _message(item) is not None]
    if answers:
        parts = [part for item in answers for part in _content(item)]
        calls = [each for item in answers for each in as_list(item.get("tool_calls"))]
        finish = next((reason for item in answers if (reason := _finish(item))), "")
        return Reply({"role": "assistant", "content": parts, "tool_calls": calls}, finish)
    known = ("text", "output_text", *TOOL_PARTS, *_THOUGHTS)
    if all(item.get("type") in known or "toolName" in item for item in parsed):
        return Reply({"role": "assistant", "content": parsed})
    return None


def _message(value: Any) -> dict[str, Any] | None:
    """A message of the model, as a mapping; None for anything else."""
    if not isinstance(value, dict):
        return None
    held = value.get("kwargs")
    if isinstance(held, dict) and "content" in held:  # LangChain's own serialisation
        return {"role": "assistant", **held}
    if role(value) in _ANSWERS and any(key in value for key in _MESSAGE_KEYS):
        return value
    if "role" not in value and ("tool_calls" in value or _is_gemini(value)):
        return value
    return None


def _message_like(value: dict[str, Any]) -> bool:
    return isinstance(value.get("role"), str) and ("content" in value or "parts" in value)


def _is_gemini(value: dict[str, Any]) -> bool:
    parts = value.get("parts")
    return isinstance(parts, list) and all(isinstance(part, dict) for part in parts)


def _content(message: dict[str, Any]) -> list[Any]:
    held = message.get("content") or message.get("parts")
    return held if isinstance(held, list) else [held] if held else []


def _is_result(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    return part.get("type") in _RESULT_PARTS or any(part.get(key) for key in _RESULT_KEYS)


def _finish(value: Mapping[str, Any]) -> str:
    reason = next((value[key] for key in _FINISH if value.get(key)), "")
    if isinstance(reason, int):  # as Vertex's client counts them
        return _FINISH_NUMBERS.get(reason, "other")
    return reason if isinstance(reason, str) else ""


def _flat(raw: str) -> list[dict[str, str]]:
    """A flattened chat in messages; [] for a text that does not begin as one."""
    if not _FLAT.match(raw) or (raw.startswith(("user: ", "human: ")) and raw.count("\n") == 0):
        return []
    found = list(_FLAT.finditer(raw))
    ends = [*(each.start() for each in found[1:]), len(raw)]
    return [
        {"role": each[1], "content": raw[each.end() : end].strip()}
        for each, end in zip(found, ends, strict=True)
    ]


def _from_repr(message: Any) -> Any:
    """A message that an instrumentation wrote as Python prints it."""
    found = _REPR.match(message) if isinstance(message, str) else None
    return (
        {"role": found[1], "content": (found[3] or "").replace("\\n", "\n")} if found else message
    )


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
