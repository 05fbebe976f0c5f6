"""What is read out of an observation's metadata: provider, asked model, finish reason, tools.

Metadata comes flat (`attributes.gen_ai.system`) or nested (`{"attributes": {...}}`), its strings
often as JSON inside JSON and cut at 200 characters; each key that is looked for is listed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.langfuse.providers import provider_name

PROVIDER_KEYS: Final = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "ai.model.provider",
    "ls_provider",
    "provider",
)
REQUEST_MODEL_KEYS: Final = ("gen_ai.request.model", "request_model", "ls_model_name")
FINISH_KEYS: Final = (
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "ai.response.finishReason",
    "gen_ai.completion.0.finish_reason",
    "finish_reasons",
    "finish_reason",
    "stop_reason",
)
TOOL_KEYS: Final = ("tool_call_names", "tool_names", "tools", "gen_ai.tool.name")


class Reader:
    """Reads chosen keys, and the keys that the tenant rules name, from metadata JSON.

    Of several keys for one thing the first that has a value wins; a flat key before a nested one.
    """

    def __init__(self, tenant_keys: Sequence[str] = ()) -> None:
        groups: dict[str, str] = {}
        for group, keys in _GROUPS.items():
            groups |= dict.fromkeys(keys, group)
        groups |= {key: f"tenant:{key}" for key in tenant_keys}
        self._nested = groups
        wanted = {"attributes": "attributes"}
        for key, group in groups.items():
            wanted |= {key: group, f"attributes.{key}": group}
        names = {key: f"f{number}" for number, key in enumerate(wanted)}
        kind = msgspec.defstruct(
            "Metadata",
            [(name, Any, None) for name in names.values()],
            rename={name: key for key, name in names.items()},
            gc=False,
        )
        self._decode = msgspec.json.Decoder(kind).decode
        self._order = [wanted[key] for key in names]

    def read(self, text: str | None) -> tuple[str, str, str, str, str, dict[str, str]]:
        """(provider, request model, finish reason, tool names as JSON, service tier, tenant key ->
        value)."""
        if not text or text == "{}":
            return _NOTHING
        try:
            values = msgspec.structs.astuple(self._decode(text))
        except (msgspec.MsgspecError, UnicodeError):
            return _NOTHING
        found: dict[str, str] = {}
        tools: set[str] = set()
        nested = values[0]
        given = [
            (group, value)
            for group, value in zip(self._order[1:], values[1:], strict=True)
            if value is not None
        ]
        if isinstance(nested, dict):
            given += [(self._nested[key], nested[key]) for key in nested if key in self._nested]
        for group, value in given:
            if group == "tools":
                tools |= _names(value)
            elif not found.get(group):
                found[group] = plain(value)
        provider = found.get("provider", "")
        return (
            provider_name(provider) if provider else "",
            found.get("request_model", ""),
            found.get("finish", ""),
            json.dumps(sorted(tools)) if tools else "[]",
            service_tier(text),
            {key[7:]: value for key, value in found.items() if key[:7] == "tenant:" and value},
        )


_GROUPS: Final = {
    "provider": PROVIDER_KEYS,
    "request_model": REQUEST_MODEL_KEYS,
    "finish": FINISH_KEYS,
    "tools": TOOL_KEYS,
}
_NOTHING: Final[tuple[str, str, str, str, str, dict[str, str]]] = ("", "", "", "[]", "", {})

# Frameworks leave the tier deep in a copy of the answer (LangChain's response_metadata, Agno's
# response, the AI SDK's providerMetadata), JSON inside JSON, often cut: it is looked for as text.
_TIER: Final = re.compile(
    r"([\w.]*)(?:service|processing)[_-]?tier\\*\"\s*:\s*(?:\[\s*)?\\*\"([a-z_]{2,20})\\*\"",
    re.IGNORECASE,
)
# Results of OpenAI's and Anthropic's batch endpoints carry the batch's id.
_BATCH: Final = re.compile(r"batch_?id\\*\"\s*:\s*\\*\"(?:msg)?batch_\w", re.IGNORECASE)


def service_tier(text: str) -> str:
    """The tier that a call was served in; else the one that was asked for; '' when neither is told.

    `text` is metadata as JSON.
    """
    if "batch" in text and _BATCH.search(text):
        return "batch"
    if "ier" not in text:
        return ""
    found = _TIER.findall(text)
    served = [tier for key, tier in found if "request" not in key]
    return next(iter([*served, *(tier for _, tier in found)]), "").lower()


def plain(value: Any) -> str:
    """A metadata value as plain text: JSON inside JSON undone, the first of a list, '' for none."""
    if isinstance(value, str) and value[:1] not in ('"', "["):
        return value
    if value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return plain(value[0]) if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    try:
        return plain(json.loads(value))
    except ValueError:
        return value.strip('"')  # cut at 200 characters, so its closing quote is gone


def _names(value: Any) -> set[str]:
    if isinstance(value, str):
        if value[:1] in '["{':
            try:
                return _names(json.loads(value))
            except ValueError:
                return set()
        return {value} if value else set()
    if isinstance(value, dict):
        inner = value.get("name") or value.get("function")
        return _names(inner) if inner else set()
    if isinstance(value, list):
        return set().union(*(_names(item) for item in value)) if value else set()
    return set()


def with_tier(parameters: pa.ChunkedArray, tier: pa.Array) -> pa.ChunkedArray | pa.Array:
    """Model parameters with the service tier that metadata tells: it decides the price. What the
    answer says stands before what was asked for."""
    if not pc.any(pc.not_equal(tier, ""), min_count=0).as_py():
        return parameters
    pairs = zip(parameters.to_pylist(), tier.to_pylist(), strict=True)
    return pa.array([_served(*pair) if pair[1] else pair[0] for pair in pairs], pa.string())


@lru_cache(maxsize=4096)
def _served(parameters: str, tier: str) -> str:
    try:
        asked = json.loads(parameters)
    except ValueError:
        return parameters
    if not isinstance(asked, dict):
        return parameters
    return json.dumps({**asked, "service_tier": tier}, ensure_ascii=False, separators=(",", ":"))
