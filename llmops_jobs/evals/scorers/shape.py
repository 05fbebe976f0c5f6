"""What an answer looks like, whatever it says: empty, cut off, long, readable, looping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.scorer import Score, scorer, skipped
from llmops_jobs.signals.truncation import TRUNCATED

_REASON = re.compile(r"[a-z_]+")
_SENTENCE = re.compile(r"[.!?。！？؟।]+(?:\s|$)|\n+")
_WHOLE_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]+(?=\s|$)")
#: Share of sentences that were said before, from which an answer counts as looping.
SENTENCE_SHARE = 0.4
#: Share of 5-word windows that came before, from which an answer counts as looping.
LOOP_SHARE = 0.2


@scorer("empty", version="2", needs=())
def empty(call: Call) -> Score:
    """Value 1 when there is neither text nor a tool call."""
    blank = not call.answer.strip() and not call.tool_calls
    reason = "neither text nor a tool call" if blank else ""
    return Score(float(blank), passed=not blank, reason=reason)


@scorer("truncated", version="2", needs=())
def truncated(call: Call) -> Score:
    """Value 1 when the model was cut off by its token limit; skipped when the source keeps no
    finish reason, since an answer without a full stop proves nothing."""
    if not call.stop_reason:
        return skipped("no finish reason")
    # Also as FinishReason.MAX_TOKENS, max-tokens, or ["length"].
    told = _REASON.findall(call.stop_reason.lower().replace("-", "_"))
    found = [each for each in told if each in TRUNCATED]
    cut = bool(found)
    reason = f"finish reason {found[0]}" if cut else ""
    return Score(float(cut), passed=not cut, reason=reason)


@scorer("length", needs={"answer"}, whole_batch=True)
def length(batch: Batch) -> Iterator[Score]:
    """Value: words of the answer. It measures, it does not judge."""
    for found in batch.answer_words:
        yield Score(float(len(found)))


@scorer("readability", version="ari-1", needs={"answer"}, whole_batch=True)
def readability(batch: Batch) -> Iterator[Score]:
    """Value: the Automated Readability Index, about the school grade that can read the answer
    (Smith & Senter 1967: 4.71 characters/word + 0.5 words/sentence - 21.43), within 0 to 30."""
    for text, found in zip(batch.answers, batch.answer_words, strict=True):
        if len(found) < 20:
            yield skipped("fewer than 20 words")
            continue
        characters = sum(map(len, found))
        sentences = max(1, len(_SENTENCE.findall(text)))
        index = 4.71 * characters / len(found) + 0.5 * len(found) / sentences - 21.43
        yield Score(min(30.0, max(0.0, index)))


@scorer("repetition", version="2", needs={"answer"}, whole_batch=True)
def repetition(batch: Batch) -> Iterator[Score]:
    """Value: the share of the answer that repeats an earlier part of it, 0 to 1.

    Tables, code and lists repeat themselves too, but something differs in each row. So an answer
    fails when a good part of it says the same thing over and over, word for word, three times at
    least and with nothing in between, or when the same sentences keep coming back.
    """
    for text, found in zip(batch.answers, batch.answer_words, strict=True):
        in_words = len(found) >= 20 or " " in text
        share = _repeated(found) if in_words else _repeated_characters(text)
        looping = share > LOOP_SHARE and _loops(text, found if in_words else list(text))
        reason = f"{share:.0%} of the answer repeats earlier parts" if looping else ""
        yield Score(share, passed=not looping, reason=reason)


def _loops(text: str, units: Sequence[str]) -> bool:
    if len(units) < 9:
        return True
    return _in_cycles(units) > LOOP_SHARE or _same_sentences(text) > SENTENCE_SHARE


def _in_cycles(units: Sequence[str], n: int = 4) -> float:
    """The share of words (or characters) in stretches that go round at least three times."""
    last: dict[tuple[str, ...], int] = {}
    inside = start = period = 0
    windows = len(units) - n + 1
    for i in range(windows + 1):
        window = tuple(units[i : i + n])
        distance = i - last.get(window, i) if i < windows else -1
        if distance != period:
            length = i - start + n - 1
            if period > 0 and length >= max(2 * period, 8):
                inside += length + period
            start, period = i, distance
        last[window] = i
    return inside / len(units)


def _same_sentences(text: str) -> float:
    """The share of the text's sentences, of four words or more, that were said before."""
    said = [each.strip().lower() for each in _WHOLE_SENTENCE.findall(text)]
    said = [each for each in said if each.count(" ") >= 3]
    return 1 - len(set(said)) / len(said) if len(said) >= 4 else 0.0


def _repeated(found: Sequence[str], n: int = 5) -> float:
    """The share of n-word windows seen before; of single words when the answer is that short."""
    windows = len(found) - n + 1
    if windows < n:
        return 0.0 if len(found) < 6 else max(0.0, 1 - len(set(found)) / len(found) - 0.5)
    distinct = len(set(zip(*(found[i:] for i in range(n)), strict=False)))
    return 1 - distinct / windows


def _repeated_characters(text: str, n: int = 12) -> float:
    """For scripts without spaces and for one endless word."""
    if len(text) < 3 * n:
        return 0.0
    windows = len(text) - n + 1
    return 1 - len({text[i : i + n] for i in range(windows)}) / windows
