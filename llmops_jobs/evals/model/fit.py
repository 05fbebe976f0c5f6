"""Training: a calibrated logistic regression, tried forward in time before it is believed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack

from llmops_jobs.evals.model.features import FEATURES_VERSION
from llmops_jobs.evals.versions import content_version

#: Fewer labels, or fewer of the rarer kind, teach nothing that holds.
MIN_LABELS, MIN_RARE = 200, 30
_FOLDS = 5
_C, _DENSE_WEIGHT = 1.0, 0.1


@dataclass(frozen=True)
class Examples:
    """Labelled calls in the order of time. `passed` is what people said; feedback of users enters
    with a smaller weight and is not used for validation (`human` is False there)."""

    questions: csr_matrix
    answers: csr_matrix
    dense: np.ndarray
    passed: np.ndarray
    human: np.ndarray
    weight: np.ndarray

    def rows(self, chosen: np.ndarray) -> Examples:
        return Examples(
            self.questions[chosen],
            self.answers[chosen],
            self.dense[chosen],
            self.passed[chosen],
            self.human[chosen],
            self.weight[chosen],
        )


@dataclass(frozen=True)
class Model:
    """Everything a prediction needs, as arrays."""

    question_rarity: np.ndarray
    answer_rarity: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: float
    slope: float  # of the calibration, on the log-odds
    shift: float

    def predict(self, questions: csr_matrix, answers: csr_matrix, dense: np.ndarray) -> np.ndarray:
        """The probability that a person would pass each call."""
        x = _design(self, questions, answers, dense)
        odds = x @ self.coefficients + self.intercept
        found: np.ndarray = 1 / (1 + np.exp(-np.clip(self.slope * odds + self.shift, -30, 30)))
        return found

    def to_bytes(self) -> bytes:
        file = io.BytesIO()
        arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in vars(self).items()}
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Model:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            loaded: dict[str, Any] = {name: arrays[name] for name in arrays.files}
        for name in ("intercept", "slope", "shift"):
            loaded[name] = float(loaded[name])
        return cls(**loaded)


@dataclass(frozen=True)
class Trained:
    """A model and how it did on labels that came after those it was trained on."""

    model: Model | None
    version: str
    n: int
    failures: int
    auc: float
    baseline_auc: float
    brier: float
    base_brier: float
    status: str  # accepted, or why it was refused


def train(examples: Examples) -> Trained:
    """Trains on everything, after validation forward in time on what people labelled.

    The labels are cut into consecutive blocks; each block but the first is predicted by a model of
    the blocks before it. The model is refused with too few labels, when it is not better than
    the base rate (by Brier score), or when its AUC is not significantly above one half.
    """
    people = np.flatnonzero(examples.human)
    n, failures = len(people), int((1 - examples.passed[people]).sum())
    if n < MIN_LABELS or min(failures, n - failures) < MIN_RARE:
        status = f"refused: {n} labels with {failures} failures; {MIN_LABELS} and {MIN_RARE} needed"
        nothing = float("nan")
        return Trained(None, "", n, failures, nothing, nothing, nothing, nothing, status)
    tried, odds = _forward(examples, people)
    truth = examples.passed[tried]
    slope, shift = _calibrate(odds, truth)
    predicted = 1 / (1 + np.exp(-np.clip(slope * odds + shift, -30, 30)))
    auc, error = _auc(truth, odds)
    baseline = _best_single(examples.dense[tried], truth)
    brier = float(np.mean((predicted - truth) ** 2))
    base = float(np.mean((truth.mean() - truth) ** 2))
    if auc - 1.96 * error <= 0.5:
        status = f"refused: AUC {auc:.2f} is not above one half for certain"
    elif brier >= base:
        status = f"refused: Brier score {brier:.3f}, the base rate alone has {base:.3f}"
    else:
        status = "accepted"
    model = _fit(examples, slope, shift)
    version = content_version(
        [FEATURES_VERSION, model.coefficients.round(5).tolist(), round(slope, 5), round(shift, 5)]
    )
    kept = model if status == "accepted" else None
    return Trained(kept, version, n, failures, auc, baseline, brier, base, status)


def _forward(examples: Examples, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows predicted by models of earlier rows only, and their log-odds."""
    tried, odds = [], []
    blocks = np.array_split(people, _FOLDS)
    for block in blocks[1:]:
        before = examples.rows(np.arange(block[0]))
        if len(set(before.passed)) < 2:
            continue
        model = _fit(before, 1.0, 0.0)
        part = examples.rows(block)
        p = model.predict(part.questions, part.answers, part.dense)
        tried.append(block)
        odds.append(np.log(p / (1 - p)))
    return np.concatenate(tried), np.concatenate(odds)


def _fit(examples: Examples, slope: float, shift: float) -> Model:
    from sklearn.linear_model import LogisticRegression

    scale = examples.dense.std(axis=0)
    blank = Model(
        _rarity(examples.questions),
        _rarity(examples.answers),
        examples.dense.mean(axis=0),
        np.where(scale > 1e-9, scale, 1.0),
        np.zeros(0),
        0.0,
        slope,
        shift,
    )
    x = _design(blank, examples.questions, examples.answers, examples.dense)
    fitted = LogisticRegression(C=_C, max_iter=400).fit(
        x, examples.passed, sample_weight=examples.weight
    )
    return Model(
        blank.question_rarity,
        blank.answer_rarity,
        blank.mean,
        blank.scale,
        fitted.coef_[0],
        float(fitted.intercept_[0]),
        slope,
        shift,
    )


def _design(
    model: Model, questions: csr_matrix, answers: csr_matrix, dense: np.ndarray
) -> csr_matrix:
    standard = np.clip((dense - model.mean) / model.scale, -5, 5) * _DENSE_WEIGHT
    parts = [
        _tf_idf(questions, model.question_rarity),
        _tf_idf(answers, model.answer_rarity),
        csr_matrix(standard),
    ]
    return hstack(parts, format="csr")


def _rarity(counts: csr_matrix) -> np.ndarray:
    """Smoothed inverse document frequency of every hashed word."""
    n = counts.shape[0]
    found: np.ndarray = np.log((1 + n) / (1 + counts.getnnz(axis=0))) + 1
    return found


def _tf_idf(counts: csr_matrix, rarity: np.ndarray) -> csr_matrix:
    weighed = counts.astype(float).tocsr(copy=True)
    weighed.data = 1 + np.log(weighed.data)
    weighed = weighed.multiply(rarity).tocsr()
    norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1))).ravel()
    inverse = 1 / np.maximum(norms, 1e-12)
    weighed.data *= np.repeat(inverse, np.diff(weighed.indptr))
    return weighed


def _calibrate(odds: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Platt's sigmoid (1999) on predictions out of fold: slope and shift of the log-odds."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=10.0).fit(odds.reshape(-1, 1), truth)
    slope = float(fitted.coef_[0, 0])
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (1e-6, 0.0)


def _auc(truth: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve with its standard error (Hanley & McNeil 1982)."""
    from sklearn.metrics import roc_auc_score

    n1, n0 = truth.sum(), (1 - truth).sum()
    if not n1 or not n0:
        return 0.5, 0.5
    area = float(roc_auc_score(truth, values))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n1 - 1) * (q1 - area**2) + (n0 - 1) * (q2 - area**2)
    return area, float(np.sqrt(max(0.0, variance) / (n1 * n0)))


def _best_single(dense: np.ndarray, truth: np.ndarray) -> float:
    """The AUC of the best single cheap feature, whichever way round."""
    found = (_auc(truth, column)[0] for column in dense.T if column.std() > 0)
    return max((max(area, 1 - area) for area in found), default=0.5)
