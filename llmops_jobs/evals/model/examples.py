"""Labelled calls as training examples, by the day of the label; kept while a run lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
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
from llmops_jobs.evals.model.features import SCORERS, Features, features_of, stacked
from llmops_jobs.evals.model.fit import Examples
from llmops_jobs.evals.reading import calls_of_traces
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

#: A label counts for learning when its call is at most this many days older.
_LABEL_DELAY = 5
#: Of a day's votes so many are learned from, and of people's labels; newer days come first, and
#: older ones are not learned from when there is enough of a metric.
_VOTES_A_DAY, _LABELS_A_DAY, _ENOUGH = 250, 1_000, 10_000
_TRACES_AT_ONCE = 5000
_READERS = 2  # threads: most of reading is decompression, outside Python


@dataclass(frozen=True)
class _Labelled:
    """What is learned of a day's labels: those whose call's text is there, and by the day of the
    call the traces."""

    labels: pd.DataFrame
    traces: dict[date, set[str]]

    def of(self, metrics: AbstractSet[str]) -> _Labelled:
        """What is learned of some metrics."""
        labels = self.labels[self.labels["metric"].isin(metrics)]
        kept = set(labels["trace_id"])
        return _Labelled(labels, {day: found & kept for day, found in self.traces.items()})


@dataclass
class ExampleStore:
    """The examples of every label day asked for. Texts are read of labelled traces only."""

    lake: Lake
    database: Database
    _labelled: dict[tuple[str, date], _Labelled] = field(default_factory=dict)
    _examples: dict[tuple[str, date, str], Examples | None] = field(default_factory=dict)

    def of(
        self, project: str, days: Sequence[date], settings: EvalSettings
    ) -> Iterator[dict[str, Examples]]:
        """Per day, metric -> examples whose labels were given on it: of each metric those of the
        newest of the days, as many as give enough."""
        chosen = self._newest(project, days, settings)
        new = {
            day: {metric for metric in metrics if (project, day, metric) not in self._examples}
            for day, metrics in chosen.items()
        }
        self._prepare(project, {day: of for day, of in new.items() if of}, settings)
        for day, metrics in chosen.items():
            found = {metric: self._examples[project, day, metric] for metric in metrics}
            yield {metric: each for metric, each in found.items() if each is not None}

    def _newest(
        self, project: str, days: Sequence[date], settings: EvalSettings
    ) -> dict[date, list[str]]:
        """The days to learn from, in their order, with the metrics."""
        held = set(self.lake.days("scores", project))
        texts = _Traces(self.lake, project)
        chosen: dict[date, list[str]] = {}
        counts: Counter[str] = Counter()
        for day in sorted(held & set(days), reverse=True):
            if (project, day) not in self._labelled:
                found = _labels(self.lake, project, day, settings)
                self._labelled[project, day] = _with_text(found, texts, day)
            sizes = self._labelled[project, day].labels.groupby("metric").size()
            chosen[day] = [metric for metric in sizes.index if counts[metric] < _ENOUGH]
            counts.update(sizes.to_dict())
        return dict(sorted(chosen.items()))

    def _prepare(
        self, project: str, new: Mapping[date, AbstractSet[str]], settings: EvalSettings
    ) -> None:
        """Reads the calls of neighbouring label days together: a call's day serves six of them."""
        labelled = {day: self._labelled[project, day].of(metrics) for day, metrics in new.items()}
        wanted: dict[date, set[str]] = {}
        for each in labelled.values():
            for day, traces in each.traces.items():
                wanted.setdefault(day, set()).update(traces)
        days = [day for day, traces in sorted(wanted.items()) if traces]
        calls, parts = list[Place](), [features_of(Batch([]), pd.DataFrame())]
        with ThreadPoolExecutor(_READERS) as readers:
            read = readers.map(
                lambda day: calls_of_traces(self.lake, project, day, wanted[day]), days
            )
            for day, found in zip(days, read, strict=True):
                calls += [(day, call.trace_id, call.observation_id) for call in found]
                parts.append(self._features(project, day, found))
        features = stacked(parts)
        weight = settings.quality_model.feedback_weight
        for day, each in labelled.items():
            earliest = day - timedelta(days=_LABEL_DELAY)
            for metric, part in each.labels.groupby("metric"):
                self._examples[project, day, str(metric)] = _match(
                    calls, features, part, weight, earliest, day
                )

    def _features(self, project: str, day: date, calls: Sequence[Call]) -> Features:
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
        cheap = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        return features_of(Batch(calls), cheap)


#: A call by its day, trace and observation.
Place = tuple[date, str, str]


@dataclass
class _Traces:
    """The traces whose text the lake holds, of the days last asked for."""

    lake: Lake
    project: str
    _days: dict[date, pa.ChunkedArray] = field(default_factory=dict)

    def among(self, wanted: pa.Array, day: date) -> set[str]:
        """Those of the wanted ones that are there on a day."""
        if day not in self._days:
            while len(self._days) > _LABEL_DELAY:
                self._days.pop(max(self._days))
            rows = self.lake.read_day("observation_text", self.project, day, ["trace_id"])
            self._days[day] = rows["trace_id"]
        there = self._days[day]
        return set(there.filter(pc.is_in(there, wanted)).to_pylist())


def _with_text(labels: pd.DataFrame, texts: _Traces, day: date) -> _Labelled:
    wanted = pa.array(labels["trace_id"].unique().tolist(), pa.string())
    backs = [day - timedelta(days=back) for back in range(_LABEL_DELAY + 1)]
    traces = {back: texts.among(wanted, back) for back in backs} if len(wanted) else {}
    there = set[str]().union(*traces.values())
    return _Labelled(_drawn(labels[labels["trace_id"].isin(there)], day), traces)


def _drawn(labels: pd.DataFrame, day: date) -> pd.DataFrame:
    """As many labels and votes of each metric as are learned from, by a hash of their traces."""
    if len(labels) <= _VOTES_A_DAY:
        return labels
    hashed = pd.util.hash_array(
        labels["trace_id"].to_numpy(dtype=object),
        hash_key=f"{day:%Y%m%d}".ljust(16),
        categorize=False,
    )
    keys = [labels["metric"], labels["human"]]
    rank = pd.Series(hashed, labels.index).groupby(keys).rank(method="first")
    most = labels["human"].map({True: _LABELS_A_DAY, False: _VOTES_A_DAY})
    return labels[rank <= most]


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
    calls: Sequence[Place],
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
    for i, (day, trace, observation) in enumerate(calls):
        if first <= day <= last:
            on_call.setdefault((trace, observation), []).append(i)
            on_trace.setdefault(trace, {})[day] = i
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
