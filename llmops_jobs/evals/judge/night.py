"""One night of judging: ask about the calls drawn, within the budget, and keep what was said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.judge import store, tracing
from llmops_jobs.evals.judge.budget import Budget
from llmops_jobs.evals.judge.client import Endpoint, Line
from llmops_jobs.evals.judge.prompt import PROMPT_VERSION, mark_of, messages
from llmops_jobs.evals.judge.request import Form
from llmops_jobs.evals.judge.rubric import Rubric, load
from llmops_jobs.evals.judge.task import Task, first_of_each, rows, share, summary
from llmops_jobs.evals.settings import JudgeSettings
from llmops_jobs.evals.versions import content_version
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.store import Database


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
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"{settings.base_url_env} is no address: it begins with https://")
        endpoint = Endpoint(
            base_url,
            settings.model,
            settings.usd_per_million_input,
            settings.usd_per_million_output,
            settings.max_output_tokens,
            settings.retries,
            settings.seed,
            settings.timeout_s,
        )
        secret = environ.get(settings.api_key_env, "")
        return cls(settings, endpoint, tuple(map(load, settings.rubrics)), secret, keys)

    @property
    def calls_per_rubric(self) -> int:
        return self.settings.calls_per_night // len(self.rubrics)

    @property
    def mark_secret(self) -> str:
        """What the marks are made with: judges without a key have none of their own."""
        return self.secret + (self.keys.secret_key if self.keys else "")

    def version(self, rubric: Rubric) -> str:
        return content_version([rubric.version, PROMPT_VERSION, self.endpoint.model])


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
    budget = Budget(
        database, project, day, judge.settings.usd_per_night, judge.settings.calls_per_night
    )
    budget.open()
    asked = first_of_each([task for task in tasks if task.known is None])
    asyncio.run(_ask_all(judge, database, list(asked.values()), budget))
    share(tasks, asked)
    _keep_canary(database, project, day, tasks, judge.settings.canary_calls)
    budget.keep(summary(tasks))
    if judge.settings.trace and judge.keys is not None:
        tracing.trace(judge.keys, [task for task in asked.values() if task.was_sent], day)
    versions = {rubric.name: judge.version(rubric) for rubric in judge.rubrics}
    return rows([task for task in tasks if not task.canary], versions)


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


async def _ask_all(judge: Judge, database: Database, tasks: Sequence[Task], budget: Budget) -> None:
    """Asks for every verdict, some at a time; each is kept as soon as it is there."""
    import httpx

    slots = asyncio.Semaphore(judge.settings.parallel)
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if judge.secret:
        headers["authorization"] = f"Bearer {judge.secret}"
    endpoint = judge.endpoint
    async with httpx.AsyncClient(
        base_url=endpoint.base_url.rstrip("/") + "/", headers=headers, timeout=endpoint.timeout_s
    ) as http:
        form = Form.full(endpoint.model, endpoint.max_output_tokens, endpoint.seed)
        line = Line(http, endpoint, form, budget)

        async def ask(task: Task) -> None:
            async with slots:
                mark = mark_of(task.call, task.rubric, judge.mark_secret)
                conversation = messages(task.call, task.rubric, mark)
                task.answer = await line.ask(conversation, mark)
                store.remember(database, [(task.key, task.answer)])

        await asyncio.gather(*map(ask, tasks))


def _keep_canary(
    database: Database, project: str, day: date, tasks: Sequence[Task], size: int
) -> None:
    kept = []
    for rubric in {task.rubric.name for task in tasks}:
        known = store.canary_set(database, project, rubric, day)
        mine = [t for t in tasks if t.rubric.name == rubric and t.passed is not None]
        if known.empty:
            distinct = first_of_each([t for t in mine if not t.canary])
            chosen = [task for _, task in sorted(distinct.items())[:size]]
            kept += [_canary_row(rubric, t, bool(t.passed), day) for t in chosen]
            continue
        first = known.set_index(["trace_id", "observation_id"])
        for task in (t for t in mine if t.canary):
            was = first.loc[(task.call.trace_id, task.call.observation_id)]
            kept.append(_canary_row(rubric, task, bool(was["first_passed"]), was["call_day"]))
    database.replace_day("judge_canary", project, day, pd.DataFrame(kept))


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
