"""Whether an answer is backed by the context that it was given: lexical overlap, four ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops_jobs.evals.batch import Batch, words
from llmops_jobs.evals.scorer import Score, scorer, skipped

#: Below this the answer says more than its context does.
THRESHOLD = 0.5
_STOP = frozenset(
    words(
        "a an the and or but if of to in on at by for with from as is are was were be been "
        "being it its this that these those he she they we you i his her their our your my "
        "not no so do does did have has had will would can could should may might there here "
        "what which who when where how why all any some more most also than then too very "
        "just about into over after before s t re ve ll d m"
    )
)


@scorer("groundedness", needs={"answer", "context"}, whole_batch=True)
def groundedness(batch: Batch) -> Iterator[Score]:
    """Value: how much of the answer's wording is found in its context, 0 to 1."""
    for context, answer in zip(batch.context_words, batch.answer_words, strict=True):
        if not any(word not in _STOP for word in answer):
            yield skipped("no content word in the answer")
            continue
        value = grounded(answer, context)
        passed = value >= THRESHOLD
        reason = "" if passed else f"{1 - value:.0%} of the wording is not in the context"
        yield Score(value, passed=passed, reason=reason)


def grounded(answer: Sequence[str], context: Sequence[str]) -> float:
    """A blend of the shares of the answer's content words, word pairs and numbers or names that
    occur in the context."""
    known = set(context)
    content = [word for word in answer if word not in _STOP]
    unigrams = sum(word in known for word in content) / len(content)
    pairs = _found(answer, context, 2)
    triples = _found(answer, context, 3)
    return 0.6 * unigrams + 0.25 * pairs + 0.15 * triples


def _found(answer: Sequence[str], context: Sequence[str], n: int) -> float:
    if len(answer) < n:
        return 1.0
    known = set(zip(*(context[i:] for i in range(n)), strict=False))
    made = list(zip(*(answer[i:] for i in range(n)), strict=False))
    return sum(gram in known for gram in made) / len(made)
