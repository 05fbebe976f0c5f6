"""The quality model: believed only when it predicts later labels, and the same when loaded."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from llmops_jobs.evals.measure import Scoring, score_day
from llmops_jobs.evals.model.features import Features
from llmops_jobs.evals.model.fit import MIN_LABELS, Examples, Model, train
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.evals.test_night import land
from tests.facts import PROJECT


def examples(n: int, signal: float, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    passed = (rng.random(n) < 0.75).astype(float)
    dense = rng.normal(size=(n, 6))
    dense[:, 2] += signal * passed
    words = csr_matrix((rng.random((n, 64)) < 0.1).astype(float))
    everyone = np.ones(n)
    features = Features(words, words, words, dense)
    return Examples(features, passed, everyone.astype(bool), everyone)


def test_a_model_that_predicts_later_labels_is_accepted_and_calibrated() -> None:
    found = train(examples(800, signal=3.0))
    assert found.status == "accepted" and found.model is not None
    assert found.auc > 0.8 and found.brier < found.base_brier
    fresh = examples(800, signal=3.0, seed=9)
    predicted = found.model.predict(fresh.features)
    assert abs(predicted.mean() - fresh.passed.mean()) < 0.05


def test_a_model_of_noise_and_one_of_few_labels_are_refused_with_the_reason() -> None:
    noise = train(examples(600, signal=0.0, seed=4))
    assert noise.model is None and noise.status.startswith("refused: ")
    few = train(examples(MIN_LABELS - 1, signal=3.0))
    assert few.model is None and "199 labels" in few.status


def test_a_stored_model_predicts_as_the_trained_one() -> None:
    rows = examples(400, signal=2.0)
    model = train(rows).model
    assert model is not None
    loaded = Model.from_bytes(model.to_bytes())
    assert loaded is not None
    assert loaded.predict(rows.features) == pytest.approx(model.predict(rows.features), abs=1e-4)


def test_a_model_stored_for_other_features_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = train(examples(400, signal=2.0)).model
    assert model is not None
    stored = model.to_bytes()
    monkeypatch.setattr("llmops_jobs.evals.model.fit.FEATURES_VERSION", "other")
    assert Model.from_bytes(stored) is None


def test_a_model_is_trained_on_the_weeks_before_and_predicts_every_call_after(
    lake: Lake, database: Database
) -> None:
    good = "Your order left the warehouse today and arrives tomorrow before noon."
    bad = "Maybe. I really do not know, it may be anywhere, sorry about that."
    settings = EvalSettings(scorers=("empty", "refusal"))
    first = date(2026, 3, 1)
    rng = np.random.default_rng(0)
    for i in range(10):
        day = first + timedelta(days=i)
        is_good = rng.random(40) < 0.7
        labels = {k: bool(is_good[k]) for k in range(40)}
        land(lake, day, [good if g else bad for g in is_good], labels=labels)
    scoring = Scoring.prepared(lake, database, settings)
    for i in range(10):
        score_day(scoring, PROJECT, first + timedelta(days=i))
    accepted = database.table("quality_model", PROJECT, status="accepted")
    assert len(accepted) == 1 and accepted["auc"].iloc[0] > 0.95
    trained_to = accepted["trained_to"].iloc[0]
    rows = database.table("score", PROJECT, scorer="quality_model:correct")
    assert (rows["day"] > trained_to).all() and len(rows) == 40 * rows["day"].nunique()
    again = Scoring.prepared(lake, database, settings)
    last = first + timedelta(days=9)
    before = database.table("score", PROJECT, last, last, scorer="quality_model:correct")
    score_day(again, PROJECT, last)  # a new process loads the model instead of training it
    after = database.table("score", PROJECT, last, last, scorer="quality_model:correct")
    assert list(before["value"]) == pytest.approx(list(after["value"]), abs=1e-4)
