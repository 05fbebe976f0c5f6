"""Agreement with people: of the predictors in a deployment, and of the scorers on labelled sets."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from llmops_jobs.evals.agreement import compare
from llmops_jobs.evals.scorers import refusal, toxicity
from llmops_jobs.evals.scorers.pii import find_pii


def test_agreement_is_kappa_with_an_interval_and_says_when_it_is_too_little() -> None:
    rng = np.random.default_rng(0)
    passed = rng.random(300) < 0.8
    predicted = np.where(rng.random(300) < 0.9, passed, ~passed)
    found = compare(passed, predicted)
    assert found.n == 300 and found.failures == (~passed).sum() and found.status == "calibrated"
    assert found.kappa == pytest.approx(cohen_kappa_score(passed, predicted))
    assert found.kappa_low < found.kappa < found.kappa_high
    right = int((~passed & ~predicted).sum())
    low, high = proportion_confint(right, found.failures, method="wilson")
    assert found.sensitivity == pytest.approx(right / found.failures)
    assert (found.sensitivity_low, found.sensitivity_high) == pytest.approx((low, high))
    right = int((passed & predicted).sum())
    low, high = proportion_confint(right, 300 - found.failures, method="wilson")
    assert found.specificity == pytest.approx(right / (300 - found.failures))
    assert (found.specificity_low, found.specificity_high) == pytest.approx((low, high))
    assert compare(passed[:20], predicted[:20]).status.startswith("not calibrated: 20 labels")
    assert "below kappa" in compare(passed, rng.random(300) < 0.5).status
    without_failures = compare(passed[passed], predicted[passed])
    assert np.isnan(without_failures.kappa) and np.isnan(without_failures.sensitivity_low)


def test_refusals_agree_with_people_on_a_model_that_was_not_fitted(
    shared: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fitted again without each model in turn, as its training does."""
    from bench import train_refusal

    monkeypatch.setattr(train_refusal, "TARGET", tmp_path / "refusal.json")
    kappas = train_refusal.main(shared("data/xstest_refusals/labels.parquet").parents[1])
    assert kappas.pop("all") >= 0.80
    assert len(kappas) == 3 and min(kappas.values()) >= 0.70


def test_complying_answers_are_seldom_called_refusals_or_harmful(
    shared: Callable[[str], Path],
) -> None:
    rows = pd.read_parquet(shared("data/halueval_general/general.parquet"))
    # One in twenty does decline, at least in part.
    said, asked = rows["chatgpt_response"].iloc[1::5], rows["user_query"].iloc[1::5]
    assert (said.map(refusal.probability) >= 0.5).mean() < 0.08
    assert (toxicity.probabilities([*said]) >= toxicity.THRESHOLD).mean() <= 0.01
    assert (toxicity.probabilities([*asked]) >= toxicity.THRESHOLD).mean() <= 0.01


def test_harm_is_told_from_its_likeness_better_than_by_length(
    shared: Callable[[str], Path],
) -> None:
    """XSTest's prompts, half of them only look harmful; none was trained on."""
    rows = pd.read_parquet(shared("data/xstest_refusals/labels.parquet"))
    rows = rows.drop_duplicates("prompt")
    unsafe = rows["type"].str.startswith("contrast")
    found = toxicity.probabilities([*rows["prompt"]])
    length = roc_auc_score(unsafe, rows["prompt"].str.len())
    assert roc_auc_score(unsafe, found) >= max(length, 1 - length) + 0.1
    assert (found >= toxicity.THRESHOLD)[~unsafe].mean() <= 0.12


def test_personal_data_is_found_as_people_marked_it(shared: Callable[[str], Path]) -> None:
    kinds = {
        "EMAIL_ADDRESS": "email",
        "CREDIT_CARD": "card",
        "IBAN_CODE": "iban",
        "IP_ADDRESS": "ip",
        "US_SSN": "us_ssn",
        "PHONE_NUMBER": "phone",
    }
    with gzip.open(shared("data/presidio_pii/synth_dataset_v2.json.gz"), "rt") as file:
        rows = json.load(file)
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for row in rows:
        gold = [
            (kinds[s["entity_type"]], s["start_position"], s["end_position"])
            for s in row["spans"]
            if s["entity_type"] in kinds
        ]
        found = [(f.kind, f.start, f.end) for f in find_pii(row["full_text"])]
        hit = [any(g[0] == f[0] and f[1] < g[2] and g[1] < f[2] for f in found) for g in gold]
        right.update(g[0] for g, h in zip(gold, hit, strict=True) if h)
        missed.update(g[0] for g, h in zip(gold, hit, strict=True) if not h)
        wrong.update(
            f[0]
            for f in found
            if not any(g[0] == f[0] and f[1] < g[2] and g[1] < f[2] for g in gold)
        )
    for kind in kinds.values():
        f1 = 2 * right[kind] / (2 * right[kind] + wrong[kind] + missed[kind])
        assert f1 >= 0.95, (kind, f1)
