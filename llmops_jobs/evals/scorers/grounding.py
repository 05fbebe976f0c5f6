"""Whether an answer is backed by the context that it was given, by their wording.

Ten figures of overlap and wording in a logistic regression, fitted on 846 responses of BEGIN
(Dziri et al. 2022; the parts from Wizard of Wikipedia and CMU-DoG, CC BY 4.0), and one of word
order for long contexts; `bench/train_grounding.py` fits it again and measures it on others.
Wording, not meaning: a free paraphrase scores low, and so does an answer in another language than
its context.
"""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from llmops_jobs.evals.batch import Batch, words
from llmops_jobs.evals.scorer import Score, scorer, skipped
from llmops_jobs.evals.scorers.language import by_words
from llmops_jobs.evals.scorers.relevance import stem

#: Answers are judged in pieces of about so many words, the length that the fit has seen.
PIECE = 40
#: Below one half: answers in production paraphrase more than those of the fit, and an alarm on a
#: paraphrase costs more trust than a missed one.
THRESHOLD = 0.3
# Content words so near to each other in the context count as said together.
_NEAR = 3
# A context of so many words is a passage, and of so many an article.
_LONG = (100, 400)
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


@scorer("groundedness", version="begin-3", needs={"answer", "context"}, whole_batch=True)
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
    weights, intercept = _weights()
    total, length = 0.0, 0
    for said, shown in features(answer, context):
        odds = intercept + math.fsum(map(operator.mul, weights, shown.values()))
        total += said / (1 + math.exp(-odds))
        length += said
    return total / length if length else 1.0


def features(answer: str, context: Sequence[str]) -> Iterator[tuple[int, dict[str, float]]]:
    """Of every piece of an answer: how many words it has, and what is weighed."""
    source = _Source(context)
    for piece, said in _pieces(answer):
        yield len(said), source.features(piece, said)


class _Source:
    """A context: its words, their stems, and what follows what in it."""

    def __init__(self, context: Sequence[str]) -> None:
        self.known = set(context)
        self.pairs = set(itertools.pairwise(context))
        told = [stem(word) for word in context if word not in _STOP]
        self.stems = set(told)
        self.near = set[tuple[str, str]]().union(
            *(zip(told, told[step:], strict=False) for step in range(1, _NEAR + 1))
        )
        low, high = _LONG
        share = math.log(max(1, len(context)) / low) / math.log(high / low)
        #: 0 for a passage, 1 for an article.
        self.long = min(1.0, max(0.0, share))

    def features(self, piece: str, said: Sequence[str]) -> dict[str, float]:
        n = len(said)
        content = [word for word in said if word not in _STOP]
        stems = [*map(stem, content)]
        unknown = n - sum(map(self.known.__contains__, said))
        missing = len(stems) - sum(map(self.stems.__contains__, stems))
        known = 1 - unknown / n
        backed = 1 - missing / len(stems) if stems else 0.0
        copied = [*map(self.pairs.__contains__, itertools.pairwise(said))]
        pairs = _share(copied, known)
        triples = _share([*map(operator.and_, copied, copied[1:])], pairs)
        near = _share([*map(self.near.__contains__, itertools.pairwise(stems))], backed)
        return {
            "known": known,
            "backed": backed,
            "pairs": pairs,
            "near": near,
            "length": math.log1p(n),
            "missing": math.log1p(missing),
            "unknown": math.log1p(unknown),
            "self": sum(map(_SELF.__contains__, said)) / n,
            "question": float("?" in piece),
            "exclamation": float("!" in piece),
            # Of an article nearly every word is to be found; what tells is what follows what.
            "order": self.long * (triples + near - 1),
        }


def _share(found: Sequence[bool], otherwise: float) -> float:
    return sum(found) / len(found) if found else otherwise


@cache
def _weights() -> tuple[list[float], float]:
    """Of every feature, in their order, and the intercept."""
    model = json.loads(files(__package__).joinpath("grounding.json").read_text(encoding="utf-8"))
    names = _Source([]).features("", ["any"])
    return [model["weights"][name] for name in names], model["intercept"]


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
