"""Features of a call: words of question and answer, the shape of both, the cheap scorers' values.

Words are hashed, so that a model is its coefficients and needs no vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from llmops_jobs.evals.batch import Batch

#: Change it with anything below: a stored model fits one version only.
FEATURES_VERSION = "1"
_QUESTION_BITS, _ANSWER_BITS = 12, 13
_READ = 6000
_CAPITAL = re.compile(r"\b[A-Z][a-z]+")
_SENTENCE = re.compile(r"[.!?](?:\s|$)")
_NUMBERED = re.compile(r"(?m)^\s*\d+[.)]")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
SHAPE = (
    *("answer_words", "question_words", "digits", "digit_share", "capitals", "capital_share"),
    *("lines", "words_per_sentence", "sentences", "distinct_share", "asked_in_answer"),
    *("answer_in_asked", "code", "link", "question_mark", "question_digit", "word_length"),
    *("quotes", "comma_share", "numbered", "year", "longest_word", "context_words"),
)
SCORERS = (
    *("empty", "truncated", "readability", "repetition", "valid_json", "tool_calls", "refusal"),
    *("language", "relevance", "groundedness", "pii", "injection", "toxicity"),
)
#: Of the dense features: the shape, then for every scorer its value and whether it has none.
DENSE = (*SHAPE, *SCORERS, *(f"no_{name}" for name in SCORERS))


def words_of(batch: Batch) -> tuple[csr_matrix, csr_matrix]:
    """Counts of hashed words and word pairs: of the questions, of the answers."""
    from sklearn.feature_extraction.text import HashingVectorizer

    def counts(texts: Sequence[str], bits: int) -> csr_matrix:
        vectorizer = HashingVectorizer(
            n_features=1 << bits, ngram_range=(1, 2), alternate_sign=False, norm=None
        )
        found: csr_matrix = vectorizer.transform([text[:_READ] for text in texts])
        return found

    return counts(batch.questions, _QUESTION_BITS), counts(batch.answers, _ANSWER_BITS)


def dense_of(batch: Batch, scores: pd.DataFrame) -> np.ndarray:
    """The dense features, one row per call. `scores` are rows of `score` for the same calls."""
    shape = np.array(
        [
            _shape(answer, question, a_words, q_words, len(c_words))
            for answer, question, a_words, q_words, c_words in zip(
                batch.answers,
                batch.questions,
                batch.answer_words,
                batch.question_words,
                batch.context_words,
                strict=True,
            )
        ],
        dtype=float,
    ).reshape(len(batch.calls), len(SHAPE))
    place = {(call.trace_id, call.observation_id): i for i, call in enumerate(batch.calls)}
    column = {name: j for j, name in enumerate(SCORERS)}
    values = np.zeros((len(place), len(SCORERS)))
    missing = np.ones_like(values)
    known = scores if scores.empty else scores[scores["value"].notna()]
    if not known.empty:
        named = (known[name].tolist() for name in ("trace_id", "observation_id", "scorer", "value"))
        for trace, observation, scorer, value in zip(*named, strict=True):
            i, j = place.get((trace, observation)), column.get(scorer)
            if i is not None and j is not None:
                values[i, j] = min(40.0, max(0.0, float(value)))
                missing[i, j] = 0.0
    return np.hstack([shape, values, missing])


def _shape(
    answer: str, question: str, answer_words: list[str], question_words: list[str], context: int
) -> list[float]:
    answer = answer[:_READ]
    n = max(1, len(answer_words))
    capitals = len(_CAPITAL.findall(answer))
    digits = sum(map(str.isdigit, answer))
    sentences = len(_SENTENCE.findall(answer)) or 1
    said, asked = set(answer_words), set(question_words)
    return [
        np.log1p(len(answer_words)),
        np.log1p(len(question_words)),
        np.log1p(digits),
        digits / max(1, len(answer)),
        np.log1p(capitals),
        capitals / n,
        np.log1p(answer.count("\n")),
        min(60, n / sentences),
        np.log1p(sentences),
        len(said) / n,
        len(asked & said) / max(1, len(asked)),
        len(asked & said) / max(1, len(said)),
        "```" in answer,
        "http" in answer,
        "?" in question,
        any(map(str.isdigit, question[:2000])),
        sum(map(len, answer_words)) / n,
        np.log1p(answer.count('"')),
        answer.count(",") / n,
        bool(_NUMBERED.search(answer)),
        bool(_YEAR.search(answer)),
        min(40, max(map(len, answer_words), default=0)),
        np.log1p(context),
    ]
