"""What users asked, by day: read once per run, however many days look back at it."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.reading import calls_of_day
from llmops_jobs.lake import Lake

#: Of a question this many characters are kept: a topic shows early, and memory is a month's.
_LENGTH = 600
_DAYS_KEPT = 70
_WORD = re.compile(r"[^\W\d_]{3,}")

#: (feature, whether its calls are always read): questions that were chosen alike.
Stratum = tuple[str, bool]


@dataclass
class Words:
    """Questions of a stratum on a day, and in how many of them each word is."""

    n: int = 0
    in_questions: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Day:
    """Questions of one day, who asked (a trace counts as a user where none is named), and their
    weights, 1 / inclusion probability. What one user asked twice in the same words, as the calls of
    one trace do, is one question of both weights: it is no evidence of many."""

    texts: list[str]
    users: list[str]
    weights: np.ndarray
    words: dict[Stratum, Words]

    def writers(self, word: str) -> Iterator[str]:
        """Who wrote a word, once per question."""
        for text, user in zip(self.texts, self.users, strict=True):
            if word in words_of(text):
                yield user


@dataclass
class Questions:
    lake: Lake
    _days: OrderedDict[tuple[str, date], Day] = field(default_factory=OrderedDict)

    def of(self, project: str, day: date) -> Day:
        key = (project, day)
        if key not in self._days:
            self._days[key] = _day(calls_of_day(self.lake, project, day))
            while len(self._days) > _DAYS_KEPT:
                self._days.popitem(last=False)
        return self._days[key]


def _day(calls: list[Call]) -> Day:
    asked: dict[tuple[str, str], float] = {}
    words: dict[Stratum, Words] = {}
    for call in calls:
        text = call.question[:_LENGTH]
        if not text:
            continue
        key = (text, call.user_id or call.trace_id)
        if key not in asked:
            stratum = words.setdefault((call.feature, call.inclusion_probability >= 1), Words())
            stratum.n += 1
            stratum.in_questions.update(words_of(text))
        asked[key] = asked.get(key, 0.0) + 1 / call.inclusion_probability
    return Day(
        [text for text, _ in asked],
        [user for _, user in asked],
        np.array(list(asked.values()), dtype=float),
        words,
    )


def words_of(question: str) -> set[str]:
    """The words of a question as far as it is read."""
    return set(_WORD.findall(question[:_LENGTH].lower()))
