"""The model of a day: trained once a week on the labels before that week, then used as it is.

A day's model has seen no label of that day, so that its predictions are honest where people judge
the same calls; the calendar fixes the weeks, so that a backfill trains the same models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.model.examples import ExampleStore
from llmops_jobs.evals.model.features import features_of
from llmops_jobs.evals.model.fit import Examples, Model, Trained, concatenated, train
from llmops_jobs.evals.predictors import QUALITY_MODEL
from llmops_jobs.evals.rows import frame
from llmops_jobs.evals.scorer import Score
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.store import Database

TRAIN_EVERY = 7


@dataclass
class QualityModels:
    """Models by project, week and metric: loaded from the database, or trained and stored."""

    database: Database
    examples: ExampleStore
    _models: dict[tuple[str, date], dict[str, tuple[str, Model]]] = field(default_factory=dict)

    def of(self, project: str, day: date, settings: EvalSettings) -> dict[str, tuple[str, Model]]:
        """Metric -> (version, model) of the accepted models that `day` uses."""
        if not settings.quality_model.enabled:
            return {}
        week = day - timedelta(days=day.toordinal() % TRAIN_EVERY)
        if (project, week) not in self._models:
            found = self._load(project, week)
            self._models[project, week] = (
                found if found is not None else self._train(project, week, settings)
            )
        return self._models[project, week]

    def _load(self, project: str, week: date) -> dict[str, tuple[str, Model]] | None:
        rows = self.database.table("quality_model", project, trained_to=week - timedelta(days=1))
        if rows.empty:
            return None
        accepted = rows[rows["payload"].notna()]
        models = {}
        for row in accepted.itertuples():
            model = Model.from_bytes(row.payload)
            if model is not None:
                models[row.metric] = (row.model_version, model)
        # What an older release stored is trained again.
        return models if set(accepted["metric"]) == set(models) else None

    def _train(
        self, project: str, week: date, settings: EvalSettings
    ) -> dict[str, tuple[str, Model]]:
        first = week - timedelta(days=settings.quality_model.window_days)
        days = [first + timedelta(days=i) for i in range((week - first).days)]
        parts: dict[str, list[Examples]] = {}
        for by_metric in self.examples.of(project, days, settings):
            for metric, made in by_metric.items():
                parts.setdefault(metric, []).append(made)
        for metric, made_by_day in parts.items():
            self._store(project, metric, train(concatenated(made_by_day)), first, week)
        # As every later run finds them: the database rounds.
        return self._load(project, week) or {}

    def _store(self, project: str, metric: str, trained: Trained, first: date, week: date) -> None:
        to = week - timedelta(days=1)
        version = trained.version or f"refused-{to}"
        payload = trained.model.to_bytes() if trained.model is not None else None
        row = {
            "project_id": project,
            "metric": metric,
            "model_version": f"{version}-{to:%Y%m%d}" if trained.version else version,
            "trained_from": first,
            "trained_to": to,
            "n": trained.n,
            "positives": trained.failures,
            "auc": trained.auc,
            "baseline_auc": trained.baseline_auc,
            "brier": trained.brier,
            "base_brier": trained.base_brier,
            "status": trained.status,
            "trained_at": datetime.now(UTC),
            "payload": payload,
        }
        frame = pd.DataFrame({name: pd.Series([v], dtype=object) for name, v in row.items()})
        self.database.upsert("quality_model", frame)


def predicted_rows(
    models: Mapping[str, tuple[str, Model]], batch: Batch, cheap: pd.DataFrame
) -> pd.DataFrame:
    """Rows of `score`: what each model says of every call of a batch, from their cheap scores."""
    if not models or not batch.calls:
        return pd.DataFrame()
    features = features_of(batch, cheap)
    found = []
    for metric, (version, model) in models.items():
        values = model.predict(features).round(6).tolist()
        scores = [Score(value, passed=value >= 0.5) for value in values]
        found.append((f"{QUALITY_MODEL}{metric}", version, scores))
    return frame(batch, found)
