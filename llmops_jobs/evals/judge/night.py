"""One night of judging: ask about the calls drawn, within the budget, and keep what was said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.judge import store, tracing
from llmops_jobs.evals.judge.budget import Budget
from llmops_jobs.evals.judge.client import Answer, Endpoint, ask
from llmops_jobs.evals.judge.prompt import PROMPT_VERSION, mark_of, messages
from llmops_jobs.evals.judge.rubric import Rubric, load
from llmops_jobs.evals.settings import JudgeSettings
from llmops_jobs.evals.versions import content_version
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.store import Database

if TYPE_CHECKING:
    import httpx

#: Verdicts are kept after so many: what a run that is killed loses and has to ask for again.
_AT_ONCE = 64


@dataclass(frozen=True)
class Judge:
    """A configured judge: endpoint, rubrics, and where its calls are traced."""

    settings: JudgeSettings
    endpoint: Endpoint
    rubrics: tuple[Rubric, ...]
    secret: str = field(repr=False)
    keys: ProjectKeys | None = None

    @classmethod
    def configured(
        cls,
        settings: JudgeSettings,
        keys: ProjectKeys | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Judge | None:
        """The judge of the settings; None when no rubric is named.

        Raises ConfigError for a rubric that cannot be read, and for a missing model or address.
        """
        if not settings.rubrics:
            return None
        base_url = environ.get(settings.base_url_env, "").strip()
        if not base_url or not settings.model:
            raise ConfigError(
                f"evals.judge: set {settings.base_url_env} to the address of an OpenAI-compatible "
                "endpoint, and evals.judge.model, or name no rubrics"
            )
        endpoint = Endpoint(
            base_url,
            settings.model,
            settings.usd_per_million_input,
            settings.usd_per_million_output,
            settings.max_output_tokens,
            settings.retries,
            settings.seed,
        )
        secret = environ.get(settings.api_key_env, "")
        return cls(settings, endpoint, tuple(map(load, settings.rubrics)), secret, keys)

    @property
    def calls_per_rubric(self) -> int:
        return self.settings.calls_per_night // len(self.rubrics)

    def version(self, rubric: Rubric) -> str:
        return content_version([rubric.version, PROMPT_VERSION, self.endpoint.model])


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
    def model(self) -> str:
        if self.known is not None:
            return self.known.model
        return self.answer.model if self.answer else ""


def judge_day(
    judge: Judge,
    database: Database,
    project: str,
    day: date,
    picks: Sequence[tuple[Call, float]],
    old_calls: Sequence[Call] = (),
) -> pd.DataFrame:
    """Rows of `score` for a day's verdicts; writes `judge_cache`, `judge_canary`, `judge_night`.

    `picks` are the calls drawn, each with its probability; `old_calls` those of the canary set.
    What a day has cost is on record before it is spent, and counts when the day is judged again.
    """
    tasks = [
        *_canary_tasks(judge, database, project, day, old_calls),
        *_tasks(judge, picks),
    ]
    known = store.cached(database, [task.key for task in tasks])
    for task in tasks:
        task.known = known.get(task.key)
    spent = store.night(database, project, day)
    budget = Budget(
        judge.settings.usd_per_night,
        judge.settings.calls_per_night,
        spent=spent.usd,
        used=spent.requests,
    )
    asked = [task for task in tasks if task.known is None]
    asyncio.run(_ask_all(judge, database, project, day, asked, budget))
    _keep_canary(database, project, day, tasks, judge.settings.canary_calls)
    store.keep_night(database, project, day, _summary(tasks), budget.spent, budget.used)
    if judge.settings.trace and judge.keys is not None:
        tracing.trace(judge.keys, [t for t in asked if t.answer is not None], day)
    return _rows(judge, [task for task in tasks if not task.canary])


def _tasks(judge: Judge, picks: Sequence[tuple[Call, float]]) -> list[Task]:
    return [
        Task(call, rubric, store.cache_key(call, rubric, judge.endpoint), probability)
        for call, probability in picks
        for rubric in judge.rubrics
        if call.answer and not (rubric.needs_context and not call.context)
    ]


def _canary_tasks(
    judge: Judge, database: Database, project: str, day: date, old_calls: Sequence[Call]
) -> list[Task]:
    """The cache knows a canary's verdict of the same day only: each night asks anew."""
    texts = {(call.trace_id, call.observation_id): call for call in old_calls}
    tasks = []
    for rubric in judge.rubrics:
        for row in store.canary_set(database, project, rubric.name, day).itertuples():
            call = texts.get((row.trace_id, row.observation_id))
            if call is not None:
                key = store.cache_key(call, rubric, judge.endpoint, day)
                tasks.append(Task(call, rubric, key, 1.0, canary=True))
    return tasks


async def _ask_all(
    judge: Judge,
    database: Database,
    project: str,
    day: date,
    tasks: Sequence[Task],
    budget: Budget,
) -> None:
    """Asks for every verdict, some at a time: what the next ones may cost at most is on record
    before they are asked for, so that a run that is killed has not spent in secret."""
    import httpx

    slots = asyncio.Semaphore(judge.settings.parallel)
    headers = {"authorization": f"Bearer {judge.secret}"} if judge.secret else {}
    async with httpx.AsyncClient(
        base_url=judge.endpoint.base_url.rstrip("/") + "/",
        headers=headers,
        timeout=judge.settings.timeout_s,
    ) as http:
        for start in range(0, len(tasks), _AT_ONCE):
            part = tasks[start : start + _AT_ONCE]
            usd, requests = _most(judge, part, budget)
            store.keep_night(database, project, day, _summary(part), usd, requests)
            await asyncio.gather(*(_ask(judge, http, slots, task, budget) for task in part))
            store.remember(database, [(task.key, task.answer) for task in part if task.answer])
            store.keep_night(database, project, day, _summary(part), budget.spent, budget.used)


async def _ask(
    judge: Judge, http: httpx.AsyncClient, slots: asyncio.Semaphore, task: Task, budget: Budget
) -> None:
    async with slots:
        mark = mark_of(task.call, task.rubric, judge.secret)
        conversation = messages(task.call, task.rubric, mark)
        task.answer = await ask(http, judge.endpoint, conversation, mark, budget)


def _most(judge: Judge, tasks: Sequence[Task], budget: Budget) -> tuple[Decimal, int]:
    """What the night comes to at most with these tasks: each asked, repaired, and all tried again
    as often as allowed."""
    tries = 2 * (judge.endpoint.retries + 1)
    each = (judge.endpoint.most(messages(task.call, task.rubric, "")) for task in tasks)
    usd = budget.spent + 2 * tries * sum(each, Decimal(0))  # a repair repeats what was said
    return min(budget.usd, usd), min(budget.calls, budget.used + tries * len(tasks))


def _rows(judge: Judge, tasks: Sequence[Task]) -> pd.DataFrame:
    """A verdict each; of the calls drawn at random, those judged stand for those that were not
    reached, so their probabilities shrink by the share that was."""
    drawn = [task for task in tasks if task.probability < 1]
    reached = sum(task.passed is not None for task in drawn) / len(drawn) if drawn else 1.0
    records = []
    for task in tasks:
        shrink = reached if task.probability < 1 and reached > 0 else 1.0
        probability = task.call.inclusion_probability * task.probability * shrink
        records.append((task.call.trace_id, task.call.observation_id, task.rubric.scorer,
                        judge.version(task.rubric), *_verdict(task), probability))  # fmt: skip
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
    status = "skipped" if problem == "budget" else "error"
    label = "skipped_budget" if problem == "budget" else ""
    return None, label, None, problem, status, cost


def _keep_canary(
    database: Database, project: str, day: date, tasks: Sequence[Task], size: int
) -> None:
    rows = []
    for rubric in {task.rubric.name for task in tasks}:
        known = store.canary_set(database, project, rubric, day)
        mine = [t for t in tasks if t.rubric.name == rubric and t.passed is not None]
        if known.empty:
            chosen = sorted((t for t in mine if not t.canary), key=lambda t: t.key)[:size]
            rows += [_canary_row(rubric, t, bool(t.passed), day) for t in chosen]
            continue
        first = known.set_index(["trace_id", "observation_id"])
        for task in (t for t in mine if t.canary):
            was = first.loc[(task.call.trace_id, task.call.observation_id)]
            rows.append(_canary_row(rubric, task, bool(was["first_passed"]), was["call_day"]))
    database.replace_day("judge_canary", project, day, pd.DataFrame(rows))


def _canary_row(rubric: str, task: Task, first: bool, call_day: date) -> dict[str, Any]:
    return {
        "rubric": rubric,
        "trace_id": task.call.trace_id,
        "observation_id": task.call.observation_id,
        "call_day": call_day,
        "passed": task.passed,
        "first_passed": first,
        "judge_model": task.model,
    }


def _summary(tasks: Sequence[Task]) -> dict[str, Any]:
    """What became of the tasks, as columns of `judge_night`."""
    answers = [task.answer for task in tasks if task.answer is not None]
    skipped = sum(answer.problem == "budget" for answer in answers)
    return {
        "wanted": len(tasks),
        "judged": sum(answer.verdict is not None for answer in answers),
        "cached": sum(task.known is not None for task in tasks),
        "skipped": skipped,
        "failed": sum(answer.verdict is None for answer in answers) - skipped,
        "judge_model": ", ".join(sorted({task.model for task in tasks if task.model}))[:500],
    }
