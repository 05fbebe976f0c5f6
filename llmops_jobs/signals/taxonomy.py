"""Which class of error a message is: rules over text, most specific first.

The classes say who can do something about it: the caller (`bad_request`, `context_length`,
`auth`), the provider (`rate_limit`, `provider_5xx`, `timeout`, `connection`, `content_filter`),
the application (`tool_error`, `schema_invalid`, `cancelled`), or nobody yet (`unknown`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Final

# A message is hostile text of any length: the head of it decides.
_READ: Final = 2_000

# HTTP statuses count only where a message gives them as a status: "Limit 500" is none.
_STATUS: Final = re.compile(
    r"(?:^|\bhttp(?:/\d(?:\.\d)?)?[ :]+|\bcode:? |\bcode'?\"?: ?'?\"?|\bstatus(?:_code)?[ :=]+"
    r"|\b(?:client|server) error '|error: |<title>|\| )(?P<status>[45]\d\d)\b"
)

# LiteLLM's name for what it does not know, before the provider's own words.
_WRAPPER: Final = re.compile(r"litellm\.apiconnectionerror: (?=\w+exception - )")


def _read_rules() -> Iterator[tuple[str, re.Pattern[str]]]:
    """The sections of error_rules.txt in their order, the lines of each as one pattern."""
    lines = files("llmops_jobs.signals").joinpath("error_rules.txt").read_text("utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if line.startswith("[")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start][1:-1], re.compile("|".join(lines[start + 1 : end]))


_RULES: Final = tuple(_read_rules())

#: Every class that `error_type` can return but ''.
ERROR_TYPES: Final = (
    *dict.fromkeys(name for name, _ in _RULES if name != "unknown"),
    "unknown",
)

_BY_STATUS: Final = {
    "401": "auth",
    "402": "auth",
    "403": "auth",
    "408": "timeout",
    "413": "context_length",
    "429": "rate_limit",
    "499": "cancelled",
    "504": "timeout",
    "524": "timeout",
}
_BY_FINISH: Final = {
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_function_call": "schema_invalid",
}
# A status that says all there is to say; 400 and 500 leave it to the text.
_DECISIVE: Final = {"429", "401", "504", "524", "499"}


@lru_cache(maxsize=65_536)
def error_type(status_message: str, finish_reason: str = "") -> str:
    """The class of a failed call's message; `unknown` where no rule knows it."""
    text = _WRAPPER.sub("", status_message[:_READ].lower())
    found = _STATUS.search(text)
    status = found["status"] if found else ""
    if status in _DECISIVE:
        return _BY_STATUS[status]
    for name, rule in _RULES:
        if rule.search(text):
            return name
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status:
        return "provider_5xx" if status.startswith("5") else "bad_request"
    return _BY_FINISH.get(finish_reason.lower(), "unknown")
