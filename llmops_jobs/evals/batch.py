"""The calls of one scoring run, with what several scorers need computed once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from llmops_jobs.evals.calls import READ_LIMIT, Call

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def words(text: str) -> list[str]:
    """Lower-case words of any script, digits included."""
    return _WORD.findall(text[:READ_LIMIT].lower())


@dataclass(frozen=True)
class Batch:
    """Calls in a fixed order. Every list below is parallel to `calls`."""

    calls: Sequence[Call]

    @cached_property
    def answers(self) -> list[str]:
        return [call.answer[:READ_LIMIT] for call in self.calls]

    @cached_property
    def questions(self) -> list[str]:
        return [call.question[:READ_LIMIT] for call in self.calls]

    @cached_property
    def answer_words(self) -> list[list[str]]:
        return [words(text) for text in self.answers]

    @cached_property
    def question_words(self) -> list[list[str]]:
        return [words(text) for text in self.questions]

    @cached_property
    def context_words(self) -> list[list[str]]:
        return [words(call.context) for call in self.calls]

    def part(self, indices: Sequence[int]) -> Batch:
        """Some of the calls; what was computed already is not computed again."""
        part = Batch([self.calls[i] for i in indices])
        for name in ("answers", "questions", "answer_words", "question_words", "context_words"):
            if name in self.__dict__:
                whole = self.__dict__[name]
                part.__dict__[name] = [whole[i] for i in indices]
        return part
