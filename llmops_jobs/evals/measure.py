"""Scores one day: every installed scorer over the calls whose text the lake holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pandas as pd

from llmops_jobs.evals.judge.choose import choose_calls, telling
from llmops_jobs.evals.judge.night import Judge, judge_day
from llmops_jobs.evals.judge.store import canary_traces
from llmops_jobs.evals.labels import READ, human_labels
from llmops_jobs.evals.model.examples import ExampleStore
from llmops_jobs.evals.model.weekly import QualityModels
from llmops_jobs.evals.reading import calls_of_traces, population
from llmops_jobs.evals.rows import Scored, histogram
from llmops_jobs.evals.sampling import votes
from llmops_jobs.evals.scorer import Scorer
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.evals.slices import Cheap, Slice, active, scored_slices
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database


@dataclass
class Scoring:
    """What the nights of one run share: scorers, the learned models, the judge."""

    lake: Lake
    database: Database
    settings: EvalSettings
    scorers: list[Scorer]
    models: QualityModels
    judge: Judge | None = None
    on_spark: bool = False

    @classmethod
    def prepared(
        cls,
        lake: Lake,
        database: Database,
        settings: EvalSettings,
        judge: Judge | None = None,
        on_spark: bool = False,
    ) -> Scoring:
        models = QualityModels(database, ExampleStore(lake, database))
        return cls(lake, database, settings, active(settings), models, judge, on_spark)

    def slices(self, project: str, day: date, cheap: Cheap) -> Iterator[Slice]:
        """The cheap scorers' rows, a slice of the day's calls after the other."""
        if self.on_spark:
            from llmops_jobs.evals import on_spark

            return on_spark.scored_slices(self.lake, project, day, self.settings, cheap)
        return scored_slices(self.lake, project, day, self.settings, cheap)


def score_day(scoring: Scoring, project: str, day: date) -> Scored:
    """Scores a project's day and replaces its rows in `score` and `score_histogram`.

    Whatever a text is, it gets one row per scorer: ok, skipped or error, with a reason. Cheap
    scorers come first, the quality model reads their values, the judge is sent where both doubt.
    """
    database, settings = scoring.database, scoring.settings
    cheap = Cheap(scoring.scorers, scoring.models.of(project, day, settings))
    scored, parts = Scored(), list[pd.DataFrame]()
    for calls, rows in scoring.slices(project, day, cheap):
        scored.calls += calls
        parts += rows
    if scoring.judge is not None:
        parts.append(_judged(scoring, project, day, parts))
    for part in parts:
        scored.add(part)
    database.replace_day("score", project, day, parts)
    database.replace_day("score_histogram", project, day, histogram(parts))
    return scored


def _judged(scoring: Scoring, project: str, day: date, parts: list[pd.DataFrame]) -> pd.DataFrame:
    assert scoring.judge is not None
    lake, judge = scoring.lake, scoring.judge
    calls = population(lake, project, day)
    said = lake.read_day("scores", project, day, READ)
    labelled = set(human_labels(said, scoring.settings.human_labels)["trace_id"])
    told = [telling(part) for part in parts if not part.empty]
    chosen = choose_calls(
        calls,
        pd.concat(told, ignore_index=True) if told else pd.DataFrame(),
        labelled,
        votes(said),
        judge.calls_per_rubric,
        judge.settings.seed,
    )
    picked = calls.loc[chosen.index]
    texts = {
        (call.trace_id, call.observation_id): call
        for call in calls_of_traces(lake, project, day, set(picked["trace_id"]))
    }
    keys = zip(picked["trace_id"], picked["observation_id"], strict=True)
    picks = [(texts[key], float(p)) for key, p in zip(keys, chosen, strict=True)]
    canary = [
        call
        for old, traces in canary_traces(scoring.database, project, day).items()
        for call in calls_of_traces(lake, project, old, traces)
    ]
    return judge_day(judge, scoring.database, project, day, picks, canary)
