"""The body of a request to the judge: what an endpoint does not take is left out for the night.

OpenAI's format has dialects: some endpoints know no `response_format`, or none with a schema; some
models take `max_completion_tokens` instead of `max_tokens`, and no `temperature`. An endpoint says
so with status 400 or 422 and, mostly, the name of what it does not like.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmops_jobs.evals.judge.prompt import SCHEMA

REFUSED = frozenset({400, 422})
_ABOUT_FORMAT = ("response_format", "json_schema", "structured output", "guided")


@dataclass
class Form:
    """What a night's requests hold besides the conversation."""

    model: str
    limit: int
    limit_name: str = "max_tokens"
    optional: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def full(cls, model: str, max_output_tokens: int, seed: int) -> Form:
        schema = {"type": "json_schema", "json_schema": SCHEMA}
        optional = {"temperature": 0, "seed": seed, "response_format": schema}
        return cls(model, max_output_tokens, optional=optional)

    def body(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": messages,
            self.limit_name: self.limit,
            **self.optional,
        }

    def adapt(self, sent: dict[str, Any], complaint: str) -> bool:
        """Leaves out, or renames, what an endpoint refused of a body; False when it named nothing
        that could be. A complaint without a word is taken to be about the answer's format."""
        if sent != self.body(sent["messages"]):
            return True  # adapted since, by another request
        said = complaint.lower()
        if "max_completion_tokens" in said and self.limit_name == "max_tokens":
            self.limit_name = "max_completion_tokens"
            return True
        named: list[str] = [
            name for name in ("temperature", "seed") if name in said and name in self.optional
        ]
        if any(words in said for words in _ABOUT_FORMAT) or not said.strip():
            named.append("response_format")
        kept = {name: value for name, value in self.optional.items() if name not in named}
        if kept == self.optional:
            return False
        self.optional = kept
        return True
