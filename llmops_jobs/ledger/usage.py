"""From reported counts to billable quantities: exclusive, by usage type, with what is wrong.

The lake's counts are inclusive (cached tokens are part of `input_tokens`). A price applies to
exclusive ones. Counts that cannot be true are never priced silently: every row carries an issue.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.langfuse.usage import flatten
from llmops_jobs.ledger.units import DETAIL_KEYS, PIECE_TYPES

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOKEN_COLUMNS: Final = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "reasoning_tokens"),
    *("input_audio_tokens", "output_audio_tokens", "input_image_tokens"),
)
#: More tokens than any call can hold; beyond it a count is a fault of the reporter.
IMPLAUSIBLE: Final = 10**9

_DETAIL_PATTERN = "|".join(
    (
        *(f'"{key}"' for key in DETAIL_KEYS),
        r'"(?i:(?:output|candidates|completion)[\w.]*(?:image|video)|(?:input|prompt)[\w.]*video)',
        r'"(?i:modality":\s*"(?:image|video)")',
    )
)


@dataclass(frozen=True)
class Quantities:
    """Billable units of n calls; usage types that none of them has are absent."""

    by_type: dict[str, Ints]
    negative: Bools
    implausible: Bools  # too large, or not a number
    overlapping: Bools  # parts larger than their whole, tokens counted twice
    incomplete: Bools  # parts that do not reach the reported total

    @property
    def unusable(self) -> Bools:
        """Calls some of whose counts are lost: an amount would be too low without saying so."""
        return self.negative | self.implausible

    def consumed(self) -> Bools:
        """Calls that used anything, apart from having been made."""
        used = np.zeros(len(self.negative), dtype=bool)
        for kind, units in self.by_type.items():
            if kind != "request":
                used |= units > 0
        return used


def quantities(calls: pa.Table, highest: int = IMPLAUSIBLE) -> Quantities:
    """The billable quantities of a table with the token columns of `observations`."""
    counts = {name: ints(calls[name]) for name in TOKEN_COLUMNS if name in calls.column_names}
    none = np.zeros(calls.num_rows, dtype=np.int64)
    negative = np.zeros(calls.num_rows, dtype=bool)
    implausible = np.zeros(calls.num_rows, dtype=bool)
    for count in counts.values():
        if count.size and (count.min() < 0 or count.max() > highest):
            negative |= count < 0
            implausible |= count > highest
    told = _reported_issues(calls)
    negative |= told["negative"]
    implausible |= told["implausible"]
    bad = negative | implausible
    if bad.any():
        counts = {name: np.where(bad, 0, count) for name, count in counts.items()}
    details = _from_details(calls, bad)
    get = counts.get
    written_1h = get("cache_write_1h_tokens", none)
    written = np.maximum(get("cache_write_tokens", none), written_1h)
    cached = get("cache_read_tokens", none)
    audio, image = get("input_audio_tokens", none), get("input_image_tokens", none)
    # Cached audio and images are counted both as cached and as what they are: the cache's price
    # holds, so what is beyond the whole is taken from the modality.
    rest = get("input_tokens", none) - cached - written - audio - image
    if "input_video" in details:
        details["input_video"], rest = _take(details["input_video"], rest - details["input_video"])
    image, rest = _take(image, rest)
    audio, rest = _take(audio, rest)
    reasoning, spoken = get("reasoning_tokens", none), get("output_audio_tokens", none)
    answer = get("output_tokens", none) - reasoning - spoken
    for kind in ("output_image", "output_video"):
        if kind in details:
            details[kind], answer = _take(details[kind], answer - details[kind])
    reasoning, answer = _take(reasoning, answer)
    overlapping = (rest < 0) | (answer < 0) | told["overlapping"]
    # Reasoning beyond the whole output is a fault of its own, though the sum can be kept.
    overlapping |= get("reasoning_tokens", none) > get("output_tokens", none)
    by_type = {
        "input": np.maximum(rest, 0),
        "cache_read": cached,
        "cache_write": written - written_1h,
        "cache_write_1h": written_1h,
        "input_audio": audio,
        "input_image": image,
        "output": np.maximum(answer, 0),
        "reasoning": reasoning,
        "output_audio": spoken,
        **details,
    }
    by_type = {kind: units for kind, units in by_type.items() if units.any()}
    # An answer to nothing: what was asked was not counted.
    asked = get("input_tokens", none) > 0
    for kind in ("input_video", *PIECE_TYPES):
        if kind in details:
            asked |= details[kind] > 0
    incomplete = told["incomplete"] | (~asked & (get("output_tokens", none) > 0))
    by_type["request"] = np.ones(calls.num_rows, dtype=np.int64)
    return Quantities(by_type, negative, implausible, overlapping, incomplete)


# What ingestion found wrong with the reported counts (`usage_issue`) -> what it means here.
_REPORTED_ISSUES = {
    "negative": "negative",
    "too_large": "implausible",
    "not_a_number": "implausible",
    "unreadable": "implausible",
    "overlap": "overlapping",
    "part_exceeds_whole": "overlapping",
    "below_total": "incomplete",
    "only_total": "incomplete",
}


def _reported_issues(calls: pa.Table) -> dict[str, Bools]:
    masks = {name: np.zeros(calls.num_rows, bool) for name in set(_REPORTED_ISSUES.values())}
    if "usage_issue" not in calls.column_names:
        return masks
    encoded = pc.fill_null(calls["usage_issue"], "").combine_chunks().dictionary_encode()
    codes = np.asarray(encoded.indices.to_numpy())
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        for issue in text.split(","):
            if issue in _REPORTED_ISSUES:
                masks[_REPORTED_ISSUES[issue]] |= codes == code
    return masks


def _take(part: Ints, rest: Ints) -> tuple[Ints, Ints]:
    """Covers a negative rest out of a part, as far as it goes."""
    if not rest.size or rest.min() >= 0:
        return part, rest
    taken = np.minimum(part, np.maximum(-rest, 0))
    return part - taken, rest + taken


def _from_details(calls: pa.Table, bad: Bools) -> dict[str, Ints]:
    """Types that only the reported JSON holds; read for the few rows that have them."""
    if "usage_details" not in calls.column_names:
        return {}
    details = calls["usage_details"]
    rows = np.flatnonzero(_bools(pc.match_substring_regex(details, _DETAIL_PATTERN)) & ~bad)
    found: dict[str, Ints] = {}
    for row, text in zip(rows.tolist(), details.take(pa.array(rows)).to_pylist(), strict=True):
        for key, count in _numbers(text):
            kind = _kind(key)
            if kind and 0 < count <= IMPLAUSIBLE:
                if kind not in found:
                    found[kind] = np.zeros(calls.num_rows, dtype=np.int64)
                found[kind][row] = max(found[kind][row], int(count))  # two names of one count
    return found


def _kind(key: str) -> str:
    """The usage type that a key counts, if it is one that no column holds."""
    if key in DETAIL_KEYS:
        return DETAIL_KEYS[key]
    name = key.lower()
    made = "image" if "image" in name else "video" if "video" in name else ""
    if not made or re.search(r"cost|price|second|cache", name):
        return ""
    if re.search(r"output|candidates|completion", name):
        return f"output_{made}"
    return "input_video" if made == "video" and re.search(r"input|prompt", name) else ""


def _numbers(text: str) -> list[tuple[str, Any]]:
    try:
        content = json.loads(text)
    except ValueError:
        return []
    if not isinstance(content, dict):
        return []
    return [(key, value) for key, value in flatten(content).items() if value is not None]


def ints(column: pa.ChunkedArray) -> Ints:
    """Counts as whole numbers; 0 where the source gave none."""
    return np.asarray(pc.fill_null(column, 0).to_numpy(), dtype=np.int64)


def _bools(column: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(column, False).to_numpy(), dtype=bool)
