"""Patterns in many texts at once: RE2, through Arrow, names the few texts worth a closer look.

RE2 reads a text once, whatever the pattern, and is some twenty times faster than Python's engine,
which then has the last word on what RE2 has named. RE2's classes are those of ASCII: they are
translated into wider ones, which every other script's letters belong to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

# Wider than Python's, and small: RE2 takes milliseconds to compile the Unicode categories. Neither
# letters nor their opposite stand within a class in any pattern here; digits may.
_WIDER = {
    r"\w": r"[0-9A-Za-z_\x{80}-\x{10FFFF}]",
    r"\W": "[^0-9A-Za-z_]",
    r"\d": r"\p{Nd}",
}


class Texts:
    """Texts that several patterns are looked for in."""

    def __init__(self, texts: Sequence[str]) -> None:
        try:
            self._array = pa.array(texts, pa.large_string())
        except UnicodeEncodeError:  # half a surrogate pair is no UTF-8
            whole = [text.encode("utf-8", "replace").decode() for text in texts]
            self._array = pa.array(whole, pa.large_string())

    def with_match(self, pattern: re.Pattern[str]) -> list[int]:
        """The places of the texts that the pattern is, by RE2, to be found in."""
        found = pc.match_substring_regex(self._array, _translated(pattern))
        places: list[int] = pc.indices_nonzero(found).to_pylist()
        return places


@lru_cache(maxsize=256)
def _translated(pattern: re.Pattern[str]) -> str:
    flags = "".join(
        letter
        for letter, flag in (("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL))
        if pattern.flags & flag
    )
    text = pattern.pattern
    for ours, theirs in _WIDER.items():
        text = text.replace(ours, theirs)
    return f"(?{flags}){text}" if flags else text
