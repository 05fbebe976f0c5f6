"""Families of errors: messages that differ only in their variable parts share one id.

The id is a pure function of the message, so it is the same every night, on every machine and in
whatever order days are computed; nothing is learned and nothing can drift. A message is reduced
to its *skeleton*: the sentence inside a JSON wrapper, without numbers, ids, quotations and
addresses, and of the remaining words only those of a fixed lexicon of error messages. Free text
that a message quotes without quotation marks is variable too, then, and what is stored of a
message holds no word of a user's.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from llmops_jobs.signals.taxonomy import error_type

_READ: Final = 2_000
# Help texts at the end of messages vary more than what they say first.
_WORDS: Final = 18
MASK: Final = "<*>"

_INNER: Final = re.compile(
    r"""['"](?:message|error_message|detail|msg)['"]\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""",
    re.IGNORECASE,
)
# Servers that say it in one string: {"error": "..."}.
_ONLY: Final = re.compile(r"""['"]error['"]\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
_QUOTES: Final = re.compile(r"""["'`“”«»]""")
_VARIABLE: Final = re.compile(
    r"https?://\S+"  # addresses
    r"|\S+@\S+\.\S+"
    r"|(?<![A-Za-z])(?:\"[^\"]*\"|'[^']*'|`[^`]*`|“[^”]*”|«[^»]*»)"  # quotations
    r"|<[^<>]{0,200}>"  # mark-up
    r"|(?<!\w)(?:[/~]|[A-Za-z]:\\)[\w./\\-]+"  # paths
    r"|\b[\w.-]*\d[\w.:-]*"  # whatever has a digit in it: numbers, ids, versions, times
    r"|\b\w+(?:[._/:-]\w+)+\b"  # dotted and dashed names: modules, models, hosts
    r"|\b\w*_\w+\b"  # identifiers
)
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][a-z]+)?|<\*>")
_EXCEPTION: Final = re.compile(
    r"\b(?:\w+\.)*([A-Z][A-Za-z]*(?:Error|Exception|Timeout|Exceeded|Warning))\b"
)


class Family(NamedTuple):
    id: str
    error_type: str
    template: str


@lru_cache(maxsize=65_536)
def family(status_message: str, finish_reason: str = "", kind: str = "") -> Family:
    """The family of an error's message: its id, its class (`kind`, where the caller knows it) and
    its template for people to read."""
    kind = kind or error_type(status_message, finish_reason)
    template, secret = _skeleton(status_message[:_READ])
    digest = hashlib.sha256(f"{kind}\n{template}\n{secret}".encode()).hexdigest()
    return Family(digest[:12], kind, template or MASK)


def _skeleton(text: str) -> tuple[str, str]:
    """The words that tell families apart: those to show, and those to hash only."""
    inner = _INNER.search(text) or _ONLY.search(text)
    sentence = (inner[1] or inner[2] or "") if inner else text
    raised = _EXCEPTION.findall(text)[:1]
    sentence = _EXCEPTION.sub(" ", sentence)
    words, kept = _words(sentence)
    if not kept or set(kept) == {MASK}:  # all of it stands in quotation marks
        words, kept = _words(_QUOTES.sub(" ", sentence))
    template = " ".join(kept).removeprefix(MASK).removesuffix(MASK).strip()
    if sum(word != MASK for word in kept) < 3:
        # Too little to tell one error from another: the exception's name goes with it.
        template = " ".join([*raised, template]).strip()
    # In a language (or jargon) that the lexicon does not know, the first words tell families
    # apart; only their hash leaves this module.
    secret = "" if template else " ".join(word for word in words if word != MASK)[:40]
    return template, secret


def _words(sentence: str) -> tuple[list[str], list[str]]:
    """All words of a sentence, and the first of them that are kept, the others masked."""
    words = [_normal(word) for word in _WORD.findall(_VARIABLE.sub(f" {MASK} ", sentence))]
    return words, _collapsed([word if word in _lexicon() else MASK for word in words])[:_WORDS]


def _normal(word: str) -> str:
    word = word.lower().replace("’", "'")
    for ending in ("'s", "n't"):
        word = word.removesuffix(ending)
    return word


def _collapsed(words: list[str]) -> list[str]:
    """Masks that follow one another become one: lists of any length look alike."""
    return [
        word
        for place, word in enumerate(words)
        if word != MASK or place == 0 or words[place - 1] != MASK
    ]


@cache
def _lexicon() -> frozenset[str]:
    return frozenset(
        files("llmops_jobs.signals").joinpath("lexicon.txt").read_text("utf-8").split()
    )
