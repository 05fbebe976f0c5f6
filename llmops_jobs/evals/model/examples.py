"""Labelled calls as training examples, by the day of the label; kept while a run lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import calls_of_traces
from llmops_jobs.evals.labels import human_labels
from llmops_jobs.evals.model.features import SCORERS, Features, features_of
from llmops_jobs.evals.model.fit import Examples, concatenated
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

#: A label counts for learning when its call is at most this many days older.
_LABEL_DELAY = 5
_TRACES_AT_ONCE = 5000


@dataclass
class ExampleStore:
    """The examples of every label day asked for. Texts are read of labelled traces only."""

    lake: Lake
    database: Database
    _examples: dict[tuple[str, date], dict[str, Examples]] = field(default_factory=dict)

    def of(
        self, project: str, days: Sequence[date], settings: EvalSettings
    ) -> Iterator[dict[str, Examples]]:
        """Per day, metric -> examples whose labels were given on it."""
        held = set(self.lake.days("scores", project))
        days = [day for day in days if day in held]
        self._prepare(
            project, [day for day in days if (project, day) not in self._examples], settings
        )
        for day in days:
            yield self._examples[project, day]

    def _prepare(self, project: str, days: Sequence[date], settings: EvalSettings) -> None:
        """Reads the calls of neighbouring label days together: a call's day serves six of them."""
        labels = {day: _labels(self.lake, project, day, settings) for day in days}
        wanted: dict[date, set[str]] = {}
        for day, found in labels.items():
            for back in range(_LABEL_DELAY + 1):
                wanted.setdefault(day - timedelta(days=back), set()).update(found["trace_id"])
        known = {day: self._read(project, day, traces) for day, traces in wanted.items() if traces}
        weight = settings.quality_model.feedback_weight
        for day, found in labels.items():
            made: dict[str, list[Examples]] = {}
            for back in range(_LABEL_DELAY, -1, -1):
                calls = known.get(day - timedelta(days=back))
                if calls is None:
                    continue
                for metric, part in found.groupby("metric"):
                    matched = _match(calls, part, weight)
                    if matched is not None:
                        made.setdefault(str(metric), []).append(matched)
            self._examples[project, day] = {m: concatenated(parts) for m, parts in made.items()}

    def _read(
        self, project: str, day: date, traces: set[str]
    ) -> tuple[list[tuple[str, str]], Features] | None:
        calls = calls_of_traces(self.lake, project, day, traces)
        if not calls:
            return None
        score = TABLES["score"].c
        names = sorted({call.trace_id for call in calls})
        parts = [
            self.database.read(
                sa.select(score.trace_id, score.observation_id, score.scorer, score.value).where(
                    score.project_id == project,
                    score.day == day,
                    score.trace_id.in_(names[start : start + _TRACES_AT_ONCE]),
                    score.scorer.in_(SCORERS),
                )
            )
            for start in range(0, len(names), _TRACES_AT_ONCE)
        ]
        keys = [(call.trace_id, call.observation_id) for call in calls]
        return keys, features_of(Batch(calls), pd.concat(parts, ignore_index=True))


def _labels(lake: Lake, project: str, day: date, settings: EvalSettings) -> pd.DataFrame:
    """What people said on a day, and users' votes where people said nothing."""
    scores = lake.read_day("scores", project, day)
    labels = human_labels(scores, settings.human_labels).assign(human=True)
    model = settings.quality_model
    if model.feedback_score and model.feedback_weight > 0:
        votes = _votes(scores.to_pandas(), model.feedback_score)
        labels = pd.concat([labels, votes.assign(metric=model.feedback_metric, human=False)])
        labels = labels.drop_duplicates(["trace_id", "observation_id", "metric"])
    return labels


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


def _match(
    calls: tuple[list[tuple[str, str]], Features], labels: pd.DataFrame, vote_weight: float
) -> Examples | None:
    """The labelled rows of a day; a label on a trace is one on its last call that was read."""
    keys, features = calls
    place = {key: i for i, key in enumerate(keys)}
    last = {trace: i for i, (trace, _) in enumerate(keys)}
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
    by_people = np.array(human)
    return Examples(
        features.rows(np.array(rows)),
        np.array(passed),
        by_people,
        np.where(by_people, 1.0, vote_weight),
    )
