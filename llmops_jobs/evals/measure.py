"""Scores one day: every installed scorer over the calls whose text the lake holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.evals import scorer as scoring
from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call, calls_of_day
from llmops_jobs.evals.judge.night import Judge, judge_day
from llmops_jobs.evals.judge.store import canary_days
from llmops_jobs.evals.labels import READ, human_labels
from llmops_jobs.evals.model.examples import ExampleStore
from llmops_jobs.evals.model.weekly import QualityModels, predicted_rows
from llmops_jobs.evals.scorer import Score, Scorer
from llmops_jobs.evals.scorers.formats import format_scorers
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database

_REASON_LENGTH = 300
_COLUMNS = (
    "trace_id",
    "observation_id",
    "scorer",
    "scorer_version",
    "value",
    "label",
    "passed",
    "reason",
    "status",
    "cost_usd",
    "inclusion_probability",
)


@dataclass
class Scored:
    """What a day's scoring came to: rows by status, and how many failed each scorer."""

    calls: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: dict[str, int] = field(default_factory=dict)


@dataclass
class Scoring:
    """What the nights of one run share: scorers, the learned models, the judge."""

    lake: Lake
    database: Database
    settings: EvalSettings
    scorers: list[Scorer]
    models: QualityModels
    judge: Judge | None = None

    @classmethod
    def prepared(
        cls,
        lake: Lake,
        database: Database,
        settings: EvalSettings,
        judge: Judge | None = None,
    ) -> Scoring:
        models = QualityModels(database, ExampleStore(lake, database))
        return cls(lake, database, settings, active(settings), models, judge)


def score_day(scoring: Scoring, project: str, day: date) -> Scored:
    """Scores a project's day and replaces its rows in `score` and `score_histogram`.

    Whatever a text is, it gets one row per scorer: ok, skipped or error, with a reason. Cheap
    scorers come first, the quality model reads their values, the judge is sent where both doubt.
    """
    batch = Batch(calls_of_day(scoring.lake, project, day))
    rows, scored = score_calls(batch, scoring.scorers)
    models = scoring.models.of(project, day, scoring.settings)
    rows = _with(rows, predicted_rows(models, batch, rows), scored)
    if scoring.judge is not None:
        rows = _with(rows, _judged(scoring, project, day, batch, rows), scored)
    scoring.database.replace_day("score", project, day, rows)
    scoring.database.replace_day("score_histogram", project, day, histogram(rows))
    return scored


def _judged(
    scoring: Scoring, project: str, day: date, batch: Batch, rows: pd.DataFrame
) -> pd.DataFrame:
    assert scoring.judge is not None
    labels = human_labels(
        scoring.lake.read_day("scores", project, day, READ), scoring.settings.human_labels
    )
    canary = [
        (old, call)
        for old in canary_days(scoring.database, project, day)
        for call in calls_of_day(scoring.lake, project, old)
    ]
    labelled = set(labels["trace_id"])
    return judge_day(scoring.judge, scoring.database, project, day, batch, rows, labelled, canary)


def _with(rows: pd.DataFrame, more: pd.DataFrame, scored: Scored) -> pd.DataFrame:
    """Both, and the summary brought up to date."""
    if more.empty:
        return rows
    scored.statuses.update(more["status"])
    for name, part in more.groupby("scorer"):
        scored.failures[str(name)] = int((part["passed"] == False).sum())  # noqa: E712
    return pd.concat([rows, more], ignore_index=True)


def active(settings: EvalSettings) -> list[Scorer]:
    """The scorers of this deployment: installed ones, and one per format rule."""
    return [*scoring.installed(settings.scorers), *format_scorers(settings.formats)]


def histogram(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `score_histogram`: how the day's values of each scorer were distributed."""
    scored = rows[rows["value"].notna()]
    weights = 1 / scored["inclusion_probability"].to_numpy(dtype=float)
    wide = pd.DataFrame(
        {
            "scorer": scored["scorer"].to_numpy(),
            "bucket": bucket(scored["value"].to_numpy(dtype=float)),
            "n": 1,
            "w": weights,
            "w2": weights**2,
        }
    )
    return wide.groupby(["scorer", "bucket"], as_index=False, sort=False).sum()


def bucket(values: np.ndarray) -> np.ndarray:
    """The bucket of a score: tenths up to 1, half powers of two beyond."""
    tenths = np.floor(np.clip(values, 0, 1) * 10)
    powers = 10 + np.floor(2 * np.log2(np.maximum(values, 1)))
    found: np.ndarray = np.where(values <= 1, tenths, powers).astype(int)
    return found


def score_calls(batch: Batch, scorers: Iterable[Scorer]) -> tuple[pd.DataFrame, Scored]:
    """Rows of the table `score` (without project and day), and their summary."""
    calls = batch.calls
    scored = Scored(calls=len(calls))
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for each in scorers:
        scores = scoring.run(each, batch)
        scored.statuses.update(score.status for score in scores)
        scored.failures[each.name] = sum(score.passed is False for score in scores)
        _append(columns, each, calls, scores)
    # Of objects: nulls stay nulls, and the database gets what the scorers gave.
    return pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()}), scored


def _append(
    columns: dict[str, list[Any]], scorer: Scorer, calls: Sequence[Call], scores: Sequence[Score]
) -> None:
    columns["trace_id"] += [call.trace_id for call in calls]
    columns["observation_id"] += [call.observation_id for call in calls]
    columns["scorer"] += [scorer.name] * len(calls)
    columns["scorer_version"] += [scorer.version] * len(calls)
    columns["value"] += [score.value for score in scores]
    columns["label"] += [score.label for score in scores]
    columns["passed"] += [score.passed for score in scores]
    columns["reason"] += [score.reason[:_REASON_LENGTH] for score in scores]
    columns["status"] += [score.status for score in scores]
    columns["cost_usd"] += [score.cost_usd for score in scores]
    columns["inclusion_probability"] += [call.inclusion_probability for call in calls]
