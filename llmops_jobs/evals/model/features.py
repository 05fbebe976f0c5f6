"""Features of a call: words of question and answer, the shape of both, the cheap scorers' values.

Words are hashed, so that a model is its coefficients and needs no vocabulary. Of an answer the
words count that the question did not bring, and apart from them its opening, where models hedge.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from llmops_jobs.evals.batch import Batch, words

#: Change it with anything below: a stored model fits one version only.
FEATURES_VERSION = "3"
#: Columns of the hashed words, and what a block weighs beside the others.
BITS = {"questions": 15, "new_words": 16, "openings": 14}
BLOCK_WEIGHT = {"questions": 0.6, "new_words": 1.0, "openings": 0.5}
_OPENING = 25
_READ, _READ_WORDS = 6000, 1000
# A capital after a small letter or a comma: not the start of a sentence.
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][\w'-]+")
_NUMBER = re.compile(r"\d[\d,.]*")
_SENTENCE = re.compile(r"[.!?]\s+|\n+")
_NUMBERED = re.compile(r"(?m)^\s*\d+[.)]")
_EVASION = re.compile(
    r"\b(?:as an ai|language model|i (?:do not|don't|cannot|can't|am unable|am not able)|"
    r"i'm (?:sorry|unable)|i apologi[sz]e|unfortunately|no information|not enough|"
    r"without (?:more|further|additional)|please provide|sorry|knowledge cutoff|real-time|"
    r"not (?:specified|possible|provided)|unclear)\b"
)
# One of these is in every evasion; looking for them first costs a tenth of the search.
_EVASIVE = (
    *("as an ai", "language model", "i do not", "i don't", "i cannot", "i can't", "i am unable"),
    *("i am not able", "i'm unable", "i apologi", "unfortunately", "no information", "not enough"),
    *("without ", "please provide", "sorry", "knowledge cutoff", "real-time", "not specified"),
    *("not possible", "not provided", "unclear"),
)
_HEDGES = frozenset(
    words(
        "may might could possibly perhaps likely probably generally typically often usually some "
        "various several depend depends depending vary estimated approximately around about"
    )
)
_CLAIMS = frozenset(
    words(
        "always never all every only first most best largest longest highest invented discovered "
        "founded born died released published directed located according percent million billion "
        "century"
    )
)
SHAPE = (
    *("answer_length", "question_length", "lengths_ratio", "distinct_share", "word_length"),
    *("longest_sentence", "shortest_sentence", "sentences", "ends_complete"),
    *("names", "new_names", "new_name_share", "numbers", "new_numbers", "new_number_share"),
    *("evasions", "hedges", "hedge_share", "claims", "claim_share", "asked_in_answer"),
    *("answer_in_asked", "numbered", "code", "link", "question_digit", "question_mark"),
    "context_words",
)
SCORERS = (
    *("empty", "truncated", "readability", "repetition", "valid_json", "tool_calls", "refusal"),
    *("language", "relevance", "groundedness", "pii", "injection", "toxicity"),
)


@dataclass(frozen=True)
class Features:
    """Rows of calls: counts of hashed words and word pairs in three blocks, and dense columns."""

    questions: csr_matrix
    new_words: csr_matrix
    openings: csr_matrix
    dense: np.ndarray

    def __len__(self) -> int:
        return len(self.dense)

    def rows(self, chosen: np.ndarray) -> Features:
        return Features(
            self.questions[chosen],
            self.new_words[chosen],
            self.openings[chosen],
            self.dense[chosen],
        )


def features_of(batch: Batch, scores: pd.DataFrame) -> Features:
    """The features of a batch. `scores` are rows of `score` for the same calls, or some of them."""
    asked = [set(found) for found in batch.question_words]
    new = [
        [word for word in found[:_READ_WORDS] if word not in known]
        for found, known in zip(batch.answer_words, asked, strict=True)
    ]
    return Features(
        _counts((found[:_READ_WORDS] for found in batch.question_words), "questions"),
        _counts(new, "new_words"),
        _counts((found[:_OPENING] for found in batch.answer_words), "openings"),
        np.hstack([_shapes(batch, asked), _values(batch, scores)]),
    )


def stacked(parts: Sequence[Features]) -> Features:
    """Features one after the other."""
    return Features(
        vstack([part.questions for part in parts], format="csr"),
        vstack([part.new_words for part in parts], format="csr"),
        vstack([part.openings for part in parts], format="csr"),
        np.vstack([part.dense for part in parts]),
    )


def _counts(documents: Iterable[Sequence[str]], block: str) -> csr_matrix:
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(1 << BITS[block], input_type="string", alternate_sign=False)
    # One after the other: the pairs of all texts would be many times the texts.
    each = ([*found, *(f"{a} {b}" for a, b in itertools.pairwise(found))] for found in documents)
    first = next(each, None)
    if first is None:
        return csr_matrix((0, 1 << BITS[block]))
    counted: csr_matrix = hasher.transform(itertools.chain([first], each))
    return counted


def _values(batch: Batch, scores: pd.DataFrame) -> np.ndarray:
    """What the cheap scorers gave, and a column each for having given nothing."""
    values = np.zeros((len(batch.calls), len(SCORERS)))
    missing = np.ones_like(values)
    column = {name: j for j, name in enumerate(SCORERS)}
    place = {(call.trace_id, call.observation_id): i for i, call in enumerate(batch.calls)}
    if len(scores):
        named = (scores[n].tolist() for n in ("trace_id", "observation_id", "scorer", "value"))
        for trace, observation, scorer, value in zip(*named, strict=True):
            i, j = place.get((trace, observation)), column.get(scorer)
            if i is not None and j is not None and value is not None and value == value:
                values[i, j] = min(40.0, max(0.0, float(value)))
                missing[i, j] = 0.0
    return np.hstack([values, missing])


def _shapes(batch: Batch, asked: Sequence[set[str]]) -> np.ndarray:
    rows = [
        _shape(*each)
        for each in zip(
            batch.answers,
            batch.questions,
            batch.answer_words,
            asked,
            map(len, batch.context_words),
            strict=True,
        )
    ]
    found = np.array(rows, dtype=float).reshape(len(batch.calls), len(SHAPE))
    counted = [SHAPE.index(name) for name in _COUNTED]
    found[:, counted] = np.log1p(found[:, counted])
    return found


#: Counts enter by their logarithm: the tenth line says less than the second.
_COUNTED = (
    *("answer_length", "question_length", "longest_sentence", "shortest_sentence", "sentences"),
    *("names", "new_names", "numbers", "new_numbers", "evasions", "hedges", "claims"),
    "context_words",
)


def _shape(
    answer: str, question: str, found: list[str], asked: set[str], context: int
) -> list[float]:
    answer = answer[:_READ]
    found = found[:_READ_WORDS]
    n, said = max(1, len(found)), set(found)
    names = [name.lower() for name in _NAME.findall(answer)]
    new_names = [name for name in names if name not in asked]
    numbers = _NUMBER.findall(answer)
    given = set(_NUMBER.findall(question[:_READ])) if numbers else set()
    new_numbers = sum(number not in given for number in numbers)
    lower = answer.lower()
    evasive = any(hint in lower for hint in _EVASIVE)
    evasions = len(_EVASION.findall(lower)) if evasive else 0
    hedges = sum(map(_HEDGES.__contains__, found))
    claims = sum(map(_CLAIMS.__contains__, found))
    lengths = [len(part) for part in _SENTENCE.split(answer) if part]
    shared = len(asked & said)
    return [
        len(answer),
        len(question),
        min(60, len(answer) / (len(question) + 20)),
        len(said) / n,
        sum(map(len, found)) / n,
        max(lengths, default=0),
        min(lengths, default=0),
        len(lengths),
        answer.rstrip()[-1:] in tuple('.!?")`'),
        len(names),
        len(set(new_names)),
        len(new_names) / n,
        len(numbers),
        new_numbers,
        new_numbers / n,
        evasions,
        hedges,
        hedges / n,
        claims,
        claims / n,
        shared / max(1, len(asked)),
        shared / max(1, len(said)),
        bool(numbers) and bool(_NUMBERED.search(answer)),
        "```" in answer,
        "http" in answer,
        any(map(str.isdigit, question[:2000])),
        "?" in question,
        context,
    ]
