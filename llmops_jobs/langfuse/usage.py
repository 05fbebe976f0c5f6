"""Token counts of every provider and instrumentation -> one set of columns, counted inclusively.

Two conventions meet in `usageDetails`. Langfuse, Anthropic and Bedrock count in *exclusive*
buckets (`input` without what was cached), OpenTelemetry, OpenAI, Google and OpenInference count
*inclusively* (a detail is part of the whole). The result is inclusive, as OpenTelemetry's GenAI
conventions have it: `input_tokens` contains cached, written and audio input, `output_tokens`
contains reasoning.

A key says by its form which convention it follows; where the reported total contradicts that, the
reading that adds up to the total is taken, and the row is marked. Nothing is corrected in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

# A slot is what a key counts. `x` = an exclusive bucket beside its base, `i` = a part of its base.
SLOTS: Final = (
    "input", "output", "total", "provider_total", "input_more",
    "read_x", "read_i", "write_x", "write_i", "write_5m", "write_1h",
    "reasoning_x", "reasoning_i",
    "input_audio_x", "input_audio_i", "input_image_x", "input_image_i",
    "input_other_x", "input_other_i",
    "output_audio_x", "output_audio_i", "output_other_x", "output_other_i",
)  # fmt: skip
_AT: Final = {name: number for number, name in enumerate(SLOTS)}

COLUMNS: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens",
    "input_image_tokens",
)  # fmt: skip
# Counts beyond this cannot be one call's; they would only poison sums.
HIGHEST: Final = 1e12
# How far parts and total may differ before the row is marked: Langfuse's own counts round.
TOLERANCE: Final = 0.01


@lru_cache(maxsize=4096)
def slot_of(key: str) -> str:
    """The slot that a usage key fills; '' for what is no token count."""
    # camelCase and dots to one spelling: cacheReadInputTokens -> cache_read_input_tokens.
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_")
    inclusive = name.startswith("gen_ai.usage.")
    name = name.removeprefix("gen_ai.usage.")
    dotted = "." in name
    if re.search(r"cost|price|_time$|^time|request|quer|second|character|upstream|miss", name):
        return ""
    if re.search(r"prediction|is_byok", name):
        return ""
    if name.startswith(("billed_units.", "tokens.")):
        # Cohere counts twice; what was processed is never less than what was billed.
        whole = name.partition(".")[2]
        return {"input_tokens": "input", "output_tokens": "output"}.get(whole, "")
    if "tool_use" in name:
        return "" if dotted or "detail" in name else "input_more"
    inside = "i" if dotted or inclusive else "x"
    if "cach" in name or name.startswith("num_cach"):
        return _cache_slot(name, dotted or inclusive)
    if "total" in name:
        return "total" if name == "total" else "provider_total"
    if re.search(r"reason|thought|thinking", name):
        return f"reasoning_{inside}"
    side = _side(name)
    if not side:
        return ""
    for kind in ("audio", "image", "text", "video", "document"):
        if kind in name:
            kept = kind if kind == "audio" or (kind == "image" and side == "input") else "other"
            return f"{side}_{kept}_{inside}"
    if dotted:
        return ""  # a detail of some other kind: part of the whole already
    return side


def _cache_slot(name: str, dotted: bool) -> str:
    if re.search(r"write|creat", name) or name.startswith("cache_creation."):
        if re.search(r"1h|1_h|one_hour", name):
            return "write_1h"
        if re.search(r"5m|5_m|five_min", name):
            return "write_5m"
        return "write_i" if dotted else "write_x"
    if "detail" in name and "modality" in name:
        return ""
    # OpenAI-like and Google counts of cached input are parts of the prompt even without a dot.
    part = dotted or re.match(r"(num_)?cached_(tokens|content)|prompt_cache_hit", name)
    return "read_i" if part else "read_x"


def _side(name: str) -> str:
    if re.search(r"input|prompt", name):
        return "input"
    if re.search(r"output|completion|candidates|response", name):
        return "output"
    return ""


def flatten(usage: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A provider's nested usage object as flat keys joined by dots.

    Google's lists by modality become `<name>.<modality>`; other lists and texts are left out.
    """
    flat: dict[str, Any] = {}
    for key, value in usage.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping) and "modality" in item:
                    count = item.get("tokenCount", item.get("token_count"))
                    flat[f"{prefix}{key}.{item['modality']}"] = count
        elif value is None or isinstance(value, int | float):
            flat[f"{prefix}{key}"] = value
    return flat


def normalise(usages: Sequence[str | bytes | None]) -> pa.Table:
    """JSON objects of usage -> the columns of COLUMNS (int64) and `usage_issue`.

    A row without any count is null in every column. Issues, joined by commas: `negative`,
    `not_a_number`, `too_large` (the value is left out), `overlap` (buckets count the same tokens
    twice), `below_total` (the parts do not reach the total), `part_exceeds_whole`, `only_total`,
    `unreadable`.
    """
    counts, present, issues = _read(usages)
    result = _resolve(counts, present, issues)
    known = present.any(axis=1)
    arrays = {
        name: pa.array(np.rint(values).astype(np.int64), mask=~known)
        for name, values in result.items()
    }
    arrays["usage_issue"] = pa.array(
        [",".join(sorted(issues[row])) if row in issues else "" for row in range(len(usages))],
        pa.string(),
    )
    return pa.table(arrays)


def _read(
    usages: Sequence[str | bytes | None],
) -> tuple[np.ndarray, np.ndarray, dict[int, set[str]]]:
    """Counts (rows x slots), where a count was given, and what is wrong with single values."""
    rows: list[int] = []
    slots: list[int] = []
    values: list[float] = []
    issues: dict[int, set[str]] = {}
    decode = msgspec.json.Decoder(dict[str, Any] | None).decode
    for row, text in enumerate(usages):
        if not text or text in ("{}", "null", b"{}", b"null"):
            continue
        try:
            usage = decode(text) or {}
        except (msgspec.MsgspecError, UnicodeDecodeError):
            issues.setdefault(row, set()).add("unreadable")
            continue
        nested = any(type(value) in _NESTED for value in usage.values())
        for name, count in _pairs(usage) if nested else usage.items():
            slot = slot_of(name)
            if not slot:
                continue
            if not (type(count) is int and 0 <= count <= HIGHEST):  # nearly all are
                fault = _fault(count)
                if fault:
                    issues.setdefault(row, set()).add(fault)
                if fault or count is None:
                    continue
            rows.append(row)
            slots.append(_AT[slot])
            values.append(count)
    counts = np.zeros((len(usages), len(SLOTS)))
    present = np.zeros(counts.shape, dtype=bool)
    # Two spellings of one count (Bedrock has cacheReadInputTokens and ...TokenCount): the larger.
    np.maximum.at(counts, (rows, slots), values)
    present[rows, slots] = True
    return counts, present, issues


_NESTED: Final = (dict, list)


def _pairs(usage: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """As `flatten`, but what is no number beside the objects stays, to be told."""
    pairs: list[tuple[str, Any]] = []
    for key, value in usage.items():
        pairs += flatten({key: value}).items() if type(value) in _NESTED else [(key, value)]
    return pairs


def _fault(count: Any) -> str:
    if count is None:
        return ""
    if isinstance(count, bool) or not isinstance(count, int | float) or count != count:
        return "not_a_number"
    if count < 0:
        return "negative"
    return "too_large" if count > HIGHEST else ""


def _resolve(
    counts: np.ndarray, present: np.ndarray, issues: dict[int, set[str]]
) -> dict[str, np.ndarray]:
    def of(name: str) -> np.ndarray:
        values: np.ndarray = counts[:, _AT[name]]
        return values

    def mark(rows: np.ndarray, issue: str) -> None:
        for row in np.flatnonzero(rows):
            issues.setdefault(int(row), set()).add(issue)

    tiers = of("write_5m") + of("write_1h")
    # A tier is a breakdown of the written tokens where both are given, their sum where not.
    written_x = np.where(of("write_i") > 0, 0, np.maximum(of("write_x"), tiers))
    written_i = np.where(of("write_i") > 0, np.maximum(of("write_i"), tiers), 0)
    read_x = np.where(of("read_i") > 0, 0, of("read_x"))
    input_base = of("input") + of("input_more")
    # Reasoning that both spellings report is the same reasoning.
    reasoning_x = np.where(of("reasoning_i") > 0, 0, of("reasoning_x"))
    input_x = read_x + written_x
    for kind in ("input_audio_x", "input_image_x", "input_other_x"):
        input_x = input_x + of(kind)
    output_x = reasoning_x + of("output_audio_x") + of("output_other_x")

    has_total = present[:, _AT["total"]] | present[:, _AT["provider_total"]]
    total = np.where(present[:, _AT["provider_total"]], of("provider_total"), of("total"))
    input_tokens, output_tokens = input_base + input_x, of("output") + output_x

    # The reading by the keys' form first; then, row by row, those that the total may prefer.
    fits = _near(input_tokens + output_tokens, total) | ~has_total
    over = has_total & ((input_tokens + output_tokens) > total * (1 + TOLERANCE))
    readings = [
        (input_base, of("output") + output_x),
        (input_base + input_x, of("output")),
        (input_base, of("output")),
    ]
    for whole_input, whole_output in readings:
        better = ~fits & over & _near(whole_input + whole_output, total)
        input_tokens = np.where(better, whole_input, input_tokens)
        output_tokens = np.where(better, whole_output, output_tokens)
        fits |= better
    mark(over, "overlap")
    # xAI leaves reasoning out of completion_tokens although it is spelled as a part of it. Only a
    # provider's own total can say so: Langfuse, where it adds up itself, adds the parts as well.
    apart = present[:, _AT["provider_total"]] & ~fits
    apart &= _near(input_tokens + output_tokens + of("reasoning_i"), total)
    output_tokens = np.where(apart, output_tokens + of("reasoning_i"), output_tokens)
    fits |= apart

    lone = has_total & ~present[:, [i for n, i in _AT.items() if "total" not in n]].any(axis=1)
    input_tokens = np.where(lone, total, input_tokens)
    mark(lone & (total > 0), "only_total")
    short = has_total & ~fits & ~over & ~lone
    mark(short & ((input_tokens + output_tokens) < total * (1 - TOLERANCE)), "below_total")

    read = np.maximum(read_x, of("read_i"))
    written = written_x + written_i
    reasoning = np.maximum(reasoning_x, of("reasoning_i"))
    mark((read + written > input_tokens) | (reasoning > output_tokens), "part_exceeds_whole")
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": np.minimum(of("write_1h"), written),
        "reasoning_tokens": reasoning,
        "input_audio_tokens": np.maximum(of("input_audio_x"), of("input_audio_i")),
        "output_audio_tokens": np.maximum(of("output_audio_x"), of("output_audio_i")),
        "input_image_tokens": np.maximum(of("input_image_x"), of("input_image_i")),
    }


def _near(parts: np.ndarray, total: np.ndarray) -> np.ndarray:
    near: np.ndarray = np.abs(parts - total) <= np.maximum(total * TOLERANCE, 0.5)
    return near
