"""Whether an answer speaks of what was asked: TF-IDF cosine of question and answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.scorer import Score, scorer, skipped

_MIN_QUESTION = 3


@scorer("relevance", needs={"question", "answer"}, whole_batch=True)
def relevance(batch: Batch) -> Iterator[Score]:
    """Value: cosine of the TF-IDF vectors of question and answer (0 to 1), words weighted by how
    rare they are among the batch's calls. It tells an answer to another question; it does not tell
    a false one, and a low value alone is no failure: it measures, it does not judge."""
    questions = [Counter(map(stem, found)) for found in batch.question_words]
    answers = [Counter(map(stem, found)) for found in batch.answer_words]
    rarity = _rarity([*questions, *answers])
    for asked, question, answer in zip(batch.question_words, questions, answers, strict=True):
        if len(asked) < _MIN_QUESTION:
            yield skipped(f"a question of fewer than {_MIN_QUESTION} words")
        else:
            yield Score(_cosine(_vector(question, rarity), _vector(answer, rarity)))


def _rarity(documents: Sequence[Counter[str]]) -> Mapping[str, float]:
    """Smoothed inverse document frequency."""
    seen: Counter[str] = Counter()
    for document in documents:
        seen.update(document.keys())
    n = len(documents)
    return {word: math.log((1 + n) / (1 + count)) + 1 for word, count in seen.items()}


def _vector(counts: Counter[str], rarity: Mapping[str, float]) -> dict[str, float]:
    vector = dict(zip(counts, map(rarity.__getitem__, counts), strict=True))
    for word, n in counts.items():
        if n > 1:
            vector[word] *= 1 + math.log(n)
    return vector


def _cosine(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    if len(a) > len(b):
        a, b = b, a
    dot = sum([value * b[word] for word, value in a.items() if word in b])
    if not dot:
        return 0.0
    norm = math.sqrt(sum([v * v for v in a.values()]) * sum([v * v for v in b.values()]))
    return min(1.0, dot / norm)


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Plurals and common endings off; crude, and enough for overlap."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
