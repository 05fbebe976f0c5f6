"""What users asked, by day: read once per run, however many days look back at it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from llmops_jobs.evals.reading import calls_of_day
from llmops_jobs.lake import Lake

#: Of a question this many characters are kept: a topic shows early, and memory is a month's.
_LENGTH = 600
_DAYS_KEPT = 70


@dataclass(frozen=True)
class Day:
    """Questions of one day, who asked (a trace counts as a user where none is named), and their
    weights, 1 / inclusion probability."""

    texts: list[str]
    users: list[str]
    weights: np.ndarray


@dataclass
class Questions:
    lake: Lake
    _days: OrderedDict[tuple[str, date], Day] = field(default_factory=OrderedDict)

    def of(self, project: str, day: date) -> Day:
        key = (project, day)
        if key not in self._days:
            calls = [call for call in calls_of_day(self.lake, project, day) if call.question]
            self._days[key] = Day(
                [call.question[:_LENGTH] for call in calls],
                [call.user_id or call.trace_id for call in calls],
                np.array([1 / call.inclusion_probability for call in calls]),
            )
            while len(self._days) > _DAYS_KEPT:
                self._days.popitem(last=False)
        return self._days[key]
