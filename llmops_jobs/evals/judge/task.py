"""A verdict that is wanted, what came of it, and the rows that it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.judge import store
from llmops_jobs.evals.judge.client import BUDGET, SILENT, Answer
from llmops_jobs.evals.judge.rubric import Rubric

_NOT_SENT = frozenset({BUDGET, SILENT})


@dataclass
class Task:
    """One verdict wanted. `known` is one that the cache holds."""

    call: Call
    rubric: Rubric
    key: str
    probability: float
    canary: bool = False
    answer: Answer | None = None
    known: store.Known | None = None

    @property
    def passed(self) -> bool | None:
        if self.known is not None:
            return self.known.passed
        if self.answer is None or self.answer.verdict is None:
            return None
        return self.answer.verdict.verdict == "pass"

    @property
    def was_sent(self) -> bool:
        return self.answer is not None and self.answer.problem not in _NOT_SENT

    @property
    def model(self) -> str:
        if self.known is not None:
            return self.known.model
        return self.answer.model if self.answer else ""


def first_of_each(tasks: Sequence[Task]) -> dict[str, Task]:
    """Key -> the first task with it: equal calls are asked about once."""
    first: dict[str, Task] = {}
    for task in tasks:
        first.setdefault(task.key, task)
    return first


def share(tasks: Sequence[Task], asked: Mapping[str, Task]) -> None:
    """Gives its equals what came of a task: the verdict, as of the cache, or why there is none."""
    for task in tasks:
        first = asked.get(task.key)
        if first is None or first is task or first.answer is None:
            continue
        if first.passed is not None:
            task.known = store.Known(first.passed, first.model)
        else:
            task.answer = Answer(None, first.answer.problem)


def rows(tasks: Sequence[Task], versions: Mapping[str, str]) -> pd.DataFrame:
    """Rows of `score`, one per verdict; `versions` are the scorers', by rubric.

    Of the calls drawn at random, those judged stand for those that were not reached, so their
    probabilities shrink by the share that was.
    """
    drawn = [task for task in tasks if task.probability < 1]
    reached = sum(task.passed is not None for task in drawn) / len(drawn) if drawn else 1.0
    records = []
    for task in tasks:
        shrink = reached if task.probability < 1 and reached > 0 else 1.0
        probability = task.call.inclusion_probability * task.probability * shrink
        records.append((task.call.trace_id, task.call.observation_id, task.rubric.scorer,
                        versions[task.rubric.name], *_verdict(task), probability))  # fmt: skip
    columns = ["trace_id", "observation_id", "scorer", "scorer_version", "value", "label",
               "passed", "reason", "status", "cost_usd", "inclusion_probability"]  # fmt: skip
    values = zip(*records, strict=True) if records else [[]] * len(columns)
    return pd.DataFrame(
        {name: pd.Series(list(v), dtype=object) for name, v in zip(columns, values, strict=True)}
    )


def _verdict(task: Task) -> tuple[Any, ...]:
    """value, label, passed, reason, status, cost. The judge's own words stay in the cache: they
    may repeat what users wrote."""
    cost = task.answer.cost_usd if task.answer else Decimal(0)
    passed = task.passed
    if passed is not None:
        source = "cached" if task.known is not None else "judged"
        return float(passed), "pass" if passed else "fail", passed, source, "ok", cost
    problem = task.answer.problem if task.answer else "not asked"
    status = "skipped" if problem in _NOT_SENT else "error"
    label = "skipped_budget" if problem == BUDGET else ""
    return None, label, None, problem, status, cost


def summary(tasks: Sequence[Task]) -> dict[str, Any]:
    """What became of the tasks, as columns of `judge_night`."""
    answers = [task.answer for task in tasks if task.answer is not None]
    skipped = sum(answer.problem in _NOT_SENT for answer in answers)
    return {
        "wanted": len(tasks),
        "judged": sum(answer.verdict is not None for answer in answers),
        "cached": sum(task.known is not None for task in tasks),
        "skipped": skipped,
        "failed": sum(answer.verdict is None for answer in answers) - skipped,
        "judge_model": ", ".join(sorted({task.model for task in tasks if task.model}))[:500],
    }
