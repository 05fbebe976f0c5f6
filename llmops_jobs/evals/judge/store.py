"""What the judge leaves in the database: the cache of verdicts and the canary set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pandas as pd
import sqlalchemy as sa

from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.judge.client import Answer, Endpoint
from llmops_jobs.evals.judge.prompt import PROMPT_VERSION, messages
from llmops_jobs.evals.judge.rubric import Rubric
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Known:
    """A verdict that the cache holds."""

    passed: bool
    model: str


def cache_key(call: Call, rubric: Rubric, endpoint: Endpoint, day: date | None = None) -> str:
    """Everything that the verdict depends on, hashed; with `day` one that is good for that day
    only. The mark is left out: it says nothing."""
    asked = messages(call, rubric, "")
    parts = (
        endpoint.model,
        PROMPT_VERSION,
        rubric.version,
        str(endpoint.seed),
        str(endpoint.max_output_tokens),
        *(message["content"] for message in asked),
        *([day.isoformat()] if day else []),
    )
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()


def cached(database: Database, keys: Sequence[str]) -> dict[str, Known]:
    """Key -> verdict, of those known."""
    table = TABLES["judge_cache"].c
    found: dict[str, Known] = {}
    with database.engine.connect() as connection:
        for start in range(0, len(keys), _AT_ONCE):
            query = sa.select(table.key, table.passed, table.judge_model).where(
                table.key.in_(list(keys[start : start + _AT_ONCE]))
            )
            found |= {key: Known(bool(p), model) for key, p, model in connection.execute(query)}
    return found


def remember(database: Database, answers: Iterable[tuple[str, Answer]]) -> None:
    """Keeps verdicts; what is no verdict is asked for again another night."""
    rows = [
        {
            "key": key,
            "passed": answer.verdict.verdict == "pass",
            "reason": answer.verdict.reason[:500],
            "judge_model": answer.model,
            "cost_usd": answer.cost_usd,
            "judged_at": datetime.now(UTC),
        }
        for key, answer in answers
        if answer.verdict is not None
    ]
    if rows:
        database.upsert("judge_cache", pd.DataFrame(rows))


def canary_traces(database: Database, project: str, day: date) -> dict[date, set[str]]:
    """The traces whose texts the canary set needs, by their day."""
    rows = database.table("judge_canary", project)
    rows = rows[rows["day"] < day]
    return {old: set(part["trace_id"]) for old, part in rows.groupby("call_day")}


def canary_set(database: Database, project: str, rubric: str, day: date) -> pd.DataFrame:
    """The fixed calls of a rubric, with their first verdicts, as they were before `day`."""
    rows = database.table("judge_canary", project, rubric=rubric)
    rows = rows[rows["day"] < day].sort_values("day")
    return rows.drop_duplicates(["trace_id", "observation_id"], keep="first")
