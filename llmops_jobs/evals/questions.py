"""What users asked, by day: read once per run, however many days look back at it.

Of a large day a part is read, and it loses the tests nothing that matters: a share of 20,000
questions has a standard error of 0.35 points at the most, and moves that small are no drift.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from llmops_jobs.evals.drawing import Asked, asked, asked_on, drawn
from llmops_jobs.lake import Lake

#: Questions read of a day that is tested, and of one that it is held against: a week of these is
#: as many. Of every feature at least so many, for its words.
TESTED, HELD_AGAINST, OF_A_FEATURE = 20_000, 3_000, 300
#: Of a question this many characters are kept: a topic shows early, and memory is a month's.
_LENGTH = 600
_DAYS_KEPT = 30
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
    weights, 1 / the probability with which they were read. What one user asked twice in the same
    words, as the calls of one trace do, is one question of both weights: it is no evidence of many.

    `words` are also of the `further` questions of small features, which would make the others no
    even sample of the day.
    """

    texts: list[str]
    users: list[str]
    weights: np.ndarray
    words: dict[Stratum, Words]
    further: list[tuple[str, str]]

    def writers(self, word: str) -> Iterator[str]:
        """Who wrote a word, once per question."""
        for text, user in [*zip(self.texts, self.users, strict=True), *self.further]:
            if word in text.lower() and word in words_of(text):
                yield user


@dataclass
class Questions:
    lake: Lake
    _days: dict[tuple[str, date], Day] = field(default_factory=dict)
    _tested: tuple[tuple[str, date], Day] | None = None

    def of(self, project: str, day: date) -> Day:
        """A day that others are held against."""
        self.read_ahead(project, [day])
        return self._days[project, day]

    def read_ahead(self, project: str, days: Sequence[date]) -> None:
        """Reads days that will be asked for: while one is read, the next is decompressed."""
        new = [day for day in days if (project, day) not in self._days]

        def read(day: date) -> pa.Table:
            return drawn(self.lake, project, day, HELD_AGAINST, OF_A_FEATURE)

        with ThreadPoolExecutor(1) as reader:
            for day, rows in zip(new, reader.map(read, new), strict=True):
                self._days[project, day] = day_of(asked(rows))
        while len(self._days) > _DAYS_KEPT:  # other projects' days go first, then the oldest
            del self._days[min(self._days, key=lambda key: (key[0] == project, key[1]))]

    def tested(self, project: str, day: date) -> Day:
        """A day that is held against others."""
        key = (project, day)
        if self.lake.count("observation_text", project, day) <= HELD_AGAINST:
            return self.of(project, day)  # the whole of it either way
        if self._tested is None or self._tested[0] != key:
            self._tested = (key, day_of(read_on(self.lake, project, day)))
        return self._tested[1]


def read_on(lake: Lake, project: str, day: date) -> Iterator[Asked]:
    """The questions that are read of a day that is tested."""
    return asked_on(lake, project, day, TESTED, OF_A_FEATURE)


def day_of(calls: Iterable[Asked]) -> Day:
    """The questions of some calls, which are in the order of the day."""
    weights: dict[tuple[str, str], float] = {}
    further: dict[tuple[str, str], None] = {}
    words: dict[Stratum, Words] = {}
    for call in calls:
        text = call.question[:_LENGTH]
        if not text:
            continue
        key = (text, call.user)
        if key not in weights and key not in further:
            stratum = words.setdefault((call.feature, call.always), Words())
            stratum.n += 1
            # One string per word, however many days and features have it.
            stratum.in_questions.update(map(sys.intern, words_of(text)))
        if call.weight:
            weights[key] = weights.get(key, 0.0) + call.weight
        else:
            further[key] = None
    return Day(
        [text for text, _ in weights],
        [user for _, user in weights],
        np.array(list(weights.values()), dtype=float),
        words,
        [key for key in further if key not in weights],
    )


def words_of(question: str) -> set[str]:
    """The words of a question as far as it is read."""
    return set(_WORD.findall(question[:_LENGTH].lower()))
