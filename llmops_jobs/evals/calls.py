"""A model call as the scorers see it: question, instructions, context, answer, tool calls.

Applications write inputs and outputs in many shapes (see `envelopes`). Whatever is of none of them
stays what it was, a string: no text is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llmops_jobs.evals import envelopes, tools
from llmops_jobs.evals.envelopes import Reply
from llmops_jobs.evals.tools import ToolCall

#: Longer texts are read up to here by everything that searches words or patterns.
READ_LIMIT = 32_000

_CONTEXT = re.compile(r"<context>(.*?)(?:</context>|\Z)", re.DOTALL | re.IGNORECASE)
# Between the tags of an instruction that only names them ("between <context> and </context>").
_MENTION = 20
_CONTEXT_KEYS = ("context", "contexts", "documents", "retrieved_documents", "retrieved_context")
_TOOLS = ("tool", "function", "function_call_output", "tool_call_output")
#: Where instrumentations keep the tools that were offered.
_TOOL_KEYS = (
    "tools",
    "gen_ai.tool.definitions",
    "ai.prompt.tools",
    "model_request_parameters",
    "llm.invocation_parameters",
)


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
        return envelopes.messages(envelopes.json_in(self.raw_input), self.raw_input)

    @cached_property
    def _question_and_inline_context(self) -> tuple[str, str]:
        last, found = "", []
        for message in self._messages:
            text = envelopes.text(message)
            if "<context>" in text.lower():
                found += [part for part in _CONTEXT.findall(text) if len(part) > _MENTION]
                text = _CONTEXT.sub(lambda m: m[0] if len(m[1]) <= _MENTION else " ", text)
            if envelopes.role(message) in ("user", "human", "") and text.strip():
                last = text.strip()
        return last, "\n".join(found).strip()

    @property
    def question(self) -> str:
        """The user's last message, without the retrieved context in it."""
        return self._question_and_inline_context[0]

    @cached_property
    def instructions(self) -> str:
        """The system's messages."""
        system = (m for m in self._messages if envelopes.role(m) in ("system", "developer"))
        return "\n".join(envelopes.text(m) for m in system)

    @cached_property
    def context(self) -> str:
        """What was retrieved: between <context> tags of the input, in metadata, or from a tool."""
        inline = self._question_and_inline_context[1]
        if inline:
            return inline
        metadata = self.metadata_object
        for key in _CONTEXT_KEYS:
            if metadata.get(key):
                return envelopes.text(metadata[key])
        # A tool that returns records is no passage to be held against; one that returns prose is.
        given = []
        for message in self._messages:
            in_parts = list(envelopes.results(message))
            if envelopes.role(message) in _TOOLS and not _defines(message):
                in_parts = in_parts or [envelopes.text(message)]
            given += in_parts
        return "\n".join(each for each in given if each and each.lstrip()[:1] not in ("{", "["))

    @cached_property
    def metadata_object(self) -> Mapping[str, Any]:
        parsed = envelopes.json_in(self.metadata)
        return parsed if isinstance(parsed, dict) else {}

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        parsed = envelopes.json_in(self.model_parameters)
        return parsed if isinstance(parsed, dict) else {}

    @cached_property
    def _reply(self) -> Reply | None:
        """The output with a provider's envelope taken off; None where it is itself the answer."""
        if self.raw_output.lstrip()[:1] not in ("{", "["):
            return None
        return envelopes.reply(envelopes.json_in(self.raw_output))

    @cached_property
    def answer(self) -> str:
        if self._reply is not None:
            return envelopes.text(self._reply.message) or envelopes.text(
                self._reply.message.get("refusal")
            )
        if self.raw_output.lstrip()[:1] == '"':
            parsed = envelopes.json_in(self.raw_output)
            return parsed if isinstance(parsed, str) else self.raw_output
        return self.raw_output

    @cached_property
    def stop_reason(self) -> str:
        """Why the model ended, as the observation or else the reply tells; '' when neither does."""
        return self.finish_reason or (self._reply.finish_reason if self._reply else "")

    @cached_property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the answer asks for."""
        return tools.tool_calls(self._reply.message) if self._reply else ()

    @cached_property
    def tools(self) -> Mapping[str, Any]:
        """The tools offered: name -> JSON Schema of the arguments (or {} where none is given)."""
        parsed = envelopes.json_in(self.raw_input)
        output = envelopes.json_in(self.raw_output) if self._reply is not None else None
        places = [parsed, output, self.metadata_object, self.parameters]
        places.append(self.metadata_object.get("attributes"))
        places += [p.get("config") for p in places[:1] if isinstance(p, dict)]
        found: dict[str, Any] = {}
        for place in places:
            if isinstance(place, dict):
                for key in _TOOL_KEYS:
                    for held in (place.get(key), place.get(f"attributes.{key}")):
                        found.update(_offered(held))
        # LangChain writes the tools among the messages.
        found.update(tools.offered([m.get("content") for m in self._messages if _defines(m)]))
        return found


def _offered(held: Any) -> dict[str, Any]:
    held = envelopes.parsed_once(held)
    if isinstance(held, dict):
        lists = [held.get(key) for key in ("tools", "function_tools", "output_tools")]
        return {name: schema for each in lists for name, schema in tools.offered(each)}
    return dict(tools.offered(held))


def _defines(message: Any) -> bool:
    """Whether a message of a tool is the tool's definition."""
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, dict) and content.get("type") == "function"
