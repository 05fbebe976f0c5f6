"""Labelled calls as training examples, by the day of the label; kept while a run lasts."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import calls_of_day
from llmops_jobs.evals.labels import human_labels
from llmops_jobs.evals.model.features import SCORERS, dense_of, words_of
from llmops_jobs.evals.model.fit import Examples
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database

#: A label counts for learning when its call is at most this many days older.
_LABEL_DELAY = 5
_DAYS_KEPT = _LABEL_DELAY + 2


@dataclass(frozen=True)
class FeatureDay:
    keys: pd.MultiIndex  # trace, observation
    questions: csr_matrix
    answers: csr_matrix
    dense: np.ndarray


@dataclass
class ExampleStore:
    """Features of the last days, and the examples of every label day asked for."""

    lake: Lake
    database: Database
    _days: OrderedDict[tuple[str, date], FeatureDay] = field(default_factory=OrderedDict)
    _examples: dict[tuple[str, date], dict[str, Examples]] = field(default_factory=dict)

    def keep(self, project: str, day: date, features: FeatureDay) -> None:
        self._days[project, day] = features
        self._days.move_to_end((project, day))
        while len(self._days) > _DAYS_KEPT:
            self._days.popitem(last=False)

    def features(self, project: str, day: date) -> FeatureDay:
        if (project, day) not in self._days:
            self.keep(project, day, self._read(project, day))
        return self._days[project, day]

    def of(self, project: str, day: date, settings: EvalSettings) -> dict[str, Examples]:
        """Metric -> examples whose labels were given on `day`."""
        if (project, day) not in self._examples:
            self._examples[project, day] = self._label(project, day, settings)
        return self._examples[project, day]

    def _label(self, project: str, day: date, settings: EvalSettings) -> dict[str, Examples]:
        scores = self.lake.read_day("scores", project, day)
        labels = human_labels(scores, settings.human_labels).assign(human=True)
        model = settings.quality_model
        if model.feedback_score and model.feedback_weight > 0:
            votes = _votes(scores.to_pandas(), model.feedback_score)
            labels = pd.concat(
                [labels, votes.assign(metric=model.feedback_metric, human=False)]
            ).drop_duplicates(["trace_id", "observation_id", "metric"])
        found: dict[str, list[Examples]] = {}
        if labels.empty:
            return {}
        for back in range(_LABEL_DELAY, -1, -1):
            features = self.features(project, day - timedelta(days=back))
            for metric, part in labels.groupby("metric"):
                made = _match(features, part, model.feedback_weight)
                if made is not None:
                    found.setdefault(str(metric), []).append(made)
        return {metric: concatenated(parts) for metric, parts in found.items()}

    def _read(self, project: str, day: date) -> FeatureDay:
        calls = calls_of_day(self.lake, project, day)
        scores = self.database.read(
            "SELECT trace_id, observation_id, scorer, value FROM score "
            "WHERE project_id = :project AND day = :day AND value IS NOT NULL",
            project=project,
            day=day.isoformat(),
        )
        return features_of(Batch(calls), scores[scores["scorer"].isin(SCORERS)])


def features_of(batch: Batch, scores: pd.DataFrame) -> FeatureDay:
    """The features of a batch whose cheap scores are known."""
    keys = pd.MultiIndex.from_tuples(
        [(call.trace_id, call.observation_id) for call in batch.calls],
        names=["trace_id", "observation_id"],
    )
    questions, answers = words_of(batch) if batch.calls else (csr_matrix((0, 1)),) * 2
    return FeatureDay(keys, questions, answers, dense_of(batch, scores))


def concatenated(parts: list[Examples]) -> Examples:
    """Examples one after the other."""
    return Examples(
        vstack([p.questions for p in parts], format="csr"),
        vstack([p.answers for p in parts], format="csr"),
        np.vstack([p.dense for p in parts]),
        np.concatenate([p.passed for p in parts]),
        np.concatenate([p.human for p in parts]),
        np.concatenate([p.weight for p in parts]),
    )


def _votes(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    votes = scores[
        (scores["name"] == name)
        & (scores["source"] == "API")
        & (scores["data_type"] == "BOOLEAN")
        & scores["value"].notna()
    ]
    return pd.DataFrame(
        {
            "trace_id": votes["trace_id"],
            "observation_id": "",
            "passed": votes["value"] > 0,
        }
    )


def _match(features: FeatureDay, labels: pd.DataFrame, vote_weight: float) -> Examples | None:
    """The labelled rows of a day; a label on a trace is one on its last call that was read."""
    if not len(features.keys):
        return None
    place = {key: i for i, key in enumerate(features.keys)}
    last = {trace: i for i, (trace, _) in enumerate(features.keys)}
    rows, passed, human = [], [], []
    for label in labels.itertuples():
        i = (
            place.get((label.trace_id, label.observation_id))
            if label.observation_id
            else last.get(label.trace_id)
        )
        if i is not None:
            rows.append(i)
            passed.append(float(bool(label.passed)))
            human.append(bool(label.human))
    if not rows:
        return None
    at = np.array(rows)
    by_people = np.array(human)
    return Examples(
        features.questions[at],
        features.answers[at],
        features.dense[at],
        np.array(passed),
        by_people,
        np.where(by_people, 1.0, vote_weight),
    )
