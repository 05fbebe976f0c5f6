"""Whether an answer is backed by the context that it was given, by their wording.

Ten figures of overlap and wording in a logistic regression, fitted on 846 responses of BEGIN
(Dziri et al. 2022; the parts from Wizard of Wikipedia and CMU-DoG, CC BY 4.0) and rounded;
`bench/evals.py` measures it on others. Wording, not meaning: a free paraphrase scores low, and so
does an answer in another language than its context.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from llmops_jobs.evals.batch import Batch, words
from llmops_jobs.evals.scorer import Score, scorer, skipped
from llmops_jobs.evals.scorers.language import by_words
from llmops_jobs.evals.scorers.relevance import stem

#: Answers are judged in pieces of about so many words, the length that the fit has seen.
PIECE = 40
#: Below one half: answers in production paraphrase more than those of the fit, and an alarm on a
#: paraphrase costs more trust than a missed one.
THRESHOLD = 0.25
_STOP = frozenset(
    words(
        "a an the and or but if of to in on at by for with from as is are was were be been "
        "being it its this that these those he she they we you i his her their our your my "
        "not no so do does did have has had will would can could should may might there here "
        "what which who when where how why all any some more most also than then too very "
        "just about into over after before s t re ve ll d m"
    )
)


_SELF = frozenset(words("i i'm i’m i've i’ve me my mine we our us you your"))
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
# Courtesy is neither backed nor unbacked.
_COURTESY = re.compile(
    r"\W*(?:happy to help|thanks? (?:you )?for|sorry for the|let me know|(?:i )?hope (?:this|that)|"
    r"is there anything else|feel free|good question|great question|you(?:'|’)re welcome|"
    r"please let (?:me|us) know|if you have (?:any )?(?:other |more |further )?questions|of course|"
    r"i have looked this up|according to the (?:context|passages?|documents?|text)\W*$)",
    re.IGNORECASE,
)
# The words that courtesy begins with: few sentences need the pattern.
_COURTEOUS = frozenset(
    words(
        "happy thanks thank sorry let i hope is feel good great you're you’re please if of "
        "according"
    )
)


@scorer("groundedness", version="begin-2", needs={"answer", "context"}, whole_batch=True)
def groundedness(batch: Batch) -> Iterator[Score]:
    """Value: probability that people would call the answer backed by its context; passes from
    THRESHOLD. Skipped where answer and context are in different languages."""
    for answer, said, given in zip(
        batch.answers, batch.answer_words, batch.context_words, strict=True
    ):
        if not any(word not in _STOP for word in said):
            yield skipped("no content word in the answer")
            continue
        value = grounded(answer, given)
        if value >= THRESHOLD:
            yield Score(value, passed=True)
        elif len({_tongue(said), _tongue(given)} - {""}) == 2:
            yield skipped("answer and context are in different languages")
        else:
            yield Score(value, passed=False, reason="wording beyond the context")


def grounded(answer: str, context: Sequence[str]) -> float:
    """Probability that a context, as words, backs an answer: the mean over the answer's pieces."""
    known, pairs = set(context), set(itertools.pairwise(context))
    stems = set(map(stem, known))
    total, weight = 0.0, 0
    for piece, said in _pieces(answer):
        total += len(said) * _backed(piece, said, known, stems, pairs)
        weight += len(said)
    return total / weight if weight else 1.0


def _pieces(answer: str) -> Iterator[tuple[str, list[str]]]:
    """Sentences joined up to about PIECE words, with their words; courtesy left out."""
    held, said = "", list[str]()
    for sentence in _SENTENCE.split(answer):
        more = words(sentence)
        if not more or (more[0] in _COURTEOUS and _COURTESY.match(sentence)):
            continue
        if said and len(said) + len(more) > PIECE:
            yield held, said
            held, said = "", []
        held += " " + sentence
        said += more
    if said:
        yield held, said


def _tongue(found: Sequence[str]) -> str:
    """The language by its common words, or that the script is not Latin; '' when not clear."""
    head = found[:60]
    if head and sum(not word.isascii() for word in head) > 0.7 * len(head):
        return "other script"
    return by_words(head)


def _backed(
    piece: str,
    said: Sequence[str],
    known: AbstractSet[str],
    stems: AbstractSet[str],
    pairs: AbstractSet[tuple[str, str]],
) -> float:
    content = [word for word in said if word not in _STOP]
    n = max(1, len(content))
    made = max(1, len(said) - 1)
    unknown = len(said) - sum(map(known.__contains__, said))
    found = sum(map(known.__contains__, content))
    # A word that is known has its stem known.
    missing = sum(stem(word) not in stems for word in content if word not in known)
    odds = (
        -1.2
        + 1.0 * found / n
        + 1.4 * (1 - missing / n if content else 0)
        + 1.0 * sum(map(pairs.__contains__, itertools.pairwise(said))) / made
        + 0.9 * math.log1p(len(said))
        - 0.9 * math.log1p(missing)
        - 1.1 * unknown / max(1, len(said))
        - 1.7 * math.log1p(unknown)
        - 1.2 * sum(map(_SELF.__contains__, said)) / max(1, len(said))
        - 1.9 * ("?" in piece)
        - 0.4 * ("!" in piece)
    )
    return 1 / (1 + math.exp(-odds))
