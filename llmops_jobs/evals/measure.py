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
from llmops_jobs.evals.calls import Call, read_calls
from llmops_jobs.evals.scorer import Score, Scorer
from llmops_jobs.evals.scorers.formats import format_scorers
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database

TEXT_COLUMNS = (
    "trace_id",
    "observation_id",
    "input",
    "output",
    "metadata",
    "inclusion_probability",
)
ABOUT_COLUMNS = (
    "trace_id",
    "observation_id",
    "model",
    "feature",
    "prompt_name",
    "prompt_version",
    "finish_reason",
    "model_parameters",
    "level",
)
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


def score_day(
    lake: Lake, database: Database, project: str, day: date, settings: EvalSettings
) -> Scored:
    """Scores a project's day and replaces its rows in `score`.

    Whatever a text is, it gets one row per scorer: ok, skipped or error, with a reason.
    """
    calls = read_day(lake, project, day)
    rows, scored = score_calls(calls, active(settings))
    database.replace_day("score", project, day, rows)
    database.replace_day("score_histogram", project, day, histogram(rows))
    return scored


def read_day(lake: Lake, project: str, day: date) -> list[Call]:
    """The calls of a day whose text is held."""
    text = lake.read_day("observation_text", project, day, TEXT_COLUMNS)
    if text.num_rows == 0:
        return []
    return read_calls(text, lake.read_day("observations", project, day, ABOUT_COLUMNS))


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


def score_calls(calls: Sequence[Call], scorers: Iterable[Scorer]) -> tuple[pd.DataFrame, Scored]:
    """Rows of the table `score` (without project and day), and their summary."""
    batch = Batch(calls)
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
