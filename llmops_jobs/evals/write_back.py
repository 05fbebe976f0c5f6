"""Scores written back to Langfuse, for the scorers that the configuration names."""

from __future__ import annotations

from datetime import date

import pandas as pd
import sqlalchemy as sa

from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.langfuse.client import Client
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.score_writer import Score, ScoreWriter
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

_KEYS = ["trace_id", "observation_id"]


def write_back(
    lake: Lake, database: Database, keys: ProjectKeys, day: date, settings: EvalSettings
) -> int:
    """Writes a day's scores of `evals.write_back` to the project; returns how many were sent: what
    the copy of the project holds already is not sent again.

    A verdict goes as BOOLEAN, a measure as NUMERIC, under the scorer's name, on the observation,
    with the time of what was scored: the same score lands on the same row however often it runs.
    Raises SourceError that names the scores a server did not take.
    """
    scores = not_readable(lake, database, keys.id, day, settings)
    if not scores:
        return 0
    with Client(keys) as client:
        return ScoreWriter(client).write(scores)


def to_scores(
    lake: Lake, database: Database, project: str, day: date, settings: EvalSettings
) -> list[Score]:
    score = TABLES["score"]
    rows = database.read(
        sa.select(score)
        .where(
            score.c.project_id == project,
            score.c.day == day,
            score.c.status == "ok",
            score.c.scorer.in_(settings.write_back),
        )
        .order_by(*score.primary_key.columns)
    )
    about = lake.read_day(
        "observations", project, day, [*_KEYS, "start_time", "environment"]
    ).to_pandas()
    return [
        Score(
            name=row.scorer,
            value=float(row.value) if pd.isna(row.passed) else bool(row.passed),
            trace_id=row.trace_id,
            observation_id=row.observation_id,
            timestamp=row.start_time.to_pydatetime(),
            scorer=row.scorer,
            scorer_version=row.scorer_version,
            comment=row.reason,
            environment=row.environment or "default",
        )
        for row in rows.merge(about, on=_KEYS).itertuples()
    ]


def not_readable(
    lake: Lake, database: Database, project: str, day: date, settings: EvalSettings
) -> list[Score]:
    """Scores of a day to be written back that are not, or not with that value, in the copy of the
    source: not written yet, or not kept. Langfuse acknowledges more than it keeps."""
    if not settings.write_back:
        return []
    held = lake.read_day("scores", project, day, ["score_id", "value"])
    found = dict(zip(held["score_id"].to_pylist(), held["value"].to_pylist(), strict=True))
    return [
        score
        for score in to_scores(lake, database, project, day, settings)
        if found.get(score.id) != float(score.value)
    ]
