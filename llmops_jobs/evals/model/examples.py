"""Labelled calls as training examples, by the day of the label; kept while a run lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.labels import READ, human_labels
from llmops_jobs.evals.model.features import SCORERS, Features, features_of
from llmops_jobs.evals.model.fit import Examples
from llmops_jobs.evals.reading import calls_of_traces
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
        calls = [
            (day, call)
            for day in sorted(wanted)
            for call in (
                calls_of_traces(self.lake, project, day, wanted[day]) if wanted[day] else ()
            )
        ]
        features = self._features(project, calls)
        weight = settings.quality_model.feedback_weight
        for day, found in labels.items():
            made: dict[str, Examples] = {}
            earliest = day - timedelta(days=_LABEL_DELAY)
            for metric, part in found.groupby("metric"):
                matched = _match(calls, features, part, weight, earliest, day)
                if matched is not None:
                    made[str(metric)] = matched
            self._examples[project, day] = made

    def _features(self, project: str, calls: Sequence[tuple[date, Call]]) -> Features:
        score = TABLES["score"].c
        days = sorted({day for day, _ in calls})
        names = sorted({call.trace_id for _, call in calls})
        parts = [
            self.database.read(
                sa.select(score.trace_id, score.observation_id, score.scorer, score.value).where(
                    score.project_id == project,
                    score.day.in_(days),
                    score.trace_id.in_(names[start : start + _TRACES_AT_ONCE]),
                    score.scorer.in_(SCORERS),
                )
            )
            for start in range(0, len(names), _TRACES_AT_ONCE)
        ]
        cheap = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        return features_of(Batch([call for _, call in calls]), cheap)


def _labels(lake: Lake, project: str, day: date, settings: EvalSettings) -> pd.DataFrame:
    """What people said on a day, and users' votes where people said nothing."""
    scores = lake.read_day("scores", project, day, READ)
    labels = human_labels(scores, settings.human_labels).assign(human=True)
    model = settings.quality_model
    if model.feedback_score and model.feedback_weight > 0:
        votes = _votes(scores, model.feedback_score)
        labels = pd.concat([labels, votes.assign(metric=model.feedback_metric, human=False)])
        labels = labels.drop_duplicates(["trace_id", "observation_id", "metric"])
    return labels


def _votes(scores: pa.Table, name: str) -> pd.DataFrame:
    voted = (
        (pc.field("name") == name)
        & (pc.field("source") == "API")
        & (pc.field("data_type") == "BOOLEAN")
        & pc.field("value").is_valid()
    )
    votes = scores.filter(voted).select(["trace_id", "value"]).to_pandas()
    return pd.DataFrame(
        {
            "trace_id": votes["trace_id"],
            "observation_id": "",
            "passed": votes["value"] > 0,
        }
    )


def _match(
    calls: Sequence[tuple[date, Call]],
    features: Features,
    labels: pd.DataFrame,
    vote_weight: float,
    first: date,
    last: date,
) -> Examples | None:
    """The labelled calls of the days [first, last], in the order of their days; a label on a trace
    is one on the last call of the trace that was read, day by day."""
    on_call: dict[tuple[str, str], list[int]] = {}
    on_trace: dict[str, dict[date, int]] = {}
    for i, (day, call) in enumerate(calls):
        if first <= day <= last:
            on_call.setdefault((call.trace_id, call.observation_id), []).append(i)
            on_trace.setdefault(call.trace_id, {})[day] = i
    found: list[tuple[int, float, bool]] = []
    for label in labels.itertuples():
        if label.observation_id:
            places = on_call.get((label.trace_id, label.observation_id), [])
        else:
            places = list(on_trace.get(label.trace_id, {}).values())
        found += [(i, float(bool(label.passed)), bool(label.human)) for i in places]
    if not found:
        return None
    found.sort(key=lambda each: calls[each[0]][0])  # stable: within a day as labelled
    rows, passed, human = zip(*found, strict=True)
    by_people = np.array(human)
    return Examples(
        features.rows(np.array(rows)),
        np.array(passed),
        by_people,
        np.where(by_people, 1.0, vote_weight),
    )
