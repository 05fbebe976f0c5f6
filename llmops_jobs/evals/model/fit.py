"""Training: a calibrated logistic regression, tried forward in time before it is believed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack

from llmops_jobs.evals.model.features import (
    BLOCK_WEIGHT,
    FEATURES_VERSION,
    Features,
    stacked,
)
from llmops_jobs.evals.versions import content_version

#: Fewer labels, or fewer of the rarer kind, teach nothing that holds.
MIN_LABELS, MIN_RARE = 200, 30
_FOLDS = 5
_C = 2.0
#: What the dense columns may weigh beside the words: which serves better depends on the metric.
_DENSE_WEIGHTS = (0.03, 0.2)
_HELD_BACK = 0.3


@dataclass(frozen=True)
class Examples:
    """Labelled calls in the order of time. `passed` is what people said; feedback of users enters
    with a smaller weight and is not used for validation (`human` is False there)."""

    features: Features
    passed: np.ndarray
    human: np.ndarray
    weight: np.ndarray

    def rows(self, chosen: np.ndarray) -> Examples:
        return Examples(
            self.features.rows(chosen),
            self.passed[chosen],
            self.human[chosen],
            self.weight[chosen],
        )


def concatenated(parts: Sequence[Examples]) -> Examples:
    """Examples one after the other."""
    return Examples(
        stacked([part.features for part in parts]),
        np.concatenate([part.passed for part in parts]),
        np.concatenate([part.human for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


@dataclass(frozen=True)
class Model:
    """Everything a prediction needs, as arrays."""

    question_rarity: np.ndarray
    new_word_rarity: np.ndarray
    opening_rarity: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    dense_weight: float
    coefficients: np.ndarray
    intercept: float
    slope: float  # of the calibration, on the log-odds
    shift: float

    def odds(self, features: Features) -> np.ndarray:
        """The log-odds that a person would pass each call, before calibration."""
        found: np.ndarray = _design(self, features) @ self.coefficients + self.intercept
        return found

    def predict(self, features: Features) -> np.ndarray:
        """The probability that a person would pass each call."""
        return _probability(self.slope * self.odds(features) + self.shift)

    def to_bytes(self) -> bytes:
        file = io.BytesIO()
        arrays: dict[str, Any] = {k: np.asarray(v, np.float32) for k, v in vars(self).items()}
        np.savez_compressed(file, features_version=np.array(FEATURES_VERSION), **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Model | None:
        """The model; None when it was made for other features than today's."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            loaded: dict[str, Any] = {name: arrays[name] for name in arrays.files}
        if str(loaded.pop("features_version", "1")) != FEATURES_VERSION:
            return None
        for name in ("dense_weight", "intercept", "slope", "shift"):
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
    predicted = _probability(slope * odds + shift)
    auc, error = _auc(truth, odds)
    baseline = _best_single(examples.features.dense[tried], truth)
    brier = float(np.mean((predicted - truth) ** 2))
    base = float(np.mean((truth.mean() - truth) ** 2))
    if auc - 1.96 * error <= 0.5:
        status = f"refused: AUC {auc:.2f} is not above one half for certain"
    elif brier >= base:
        status = f"refused: Brier score {brier:.3f}, the base rate alone has {base:.3f}"
    else:
        status = "accepted"
    model = fit(examples, slope, shift)
    coefficients = hashlib.sha256(model.coefficients.round(5).tobytes()).hexdigest()
    version = content_version([FEATURES_VERSION, coefficients, round(slope, 5), round(shift, 5)])
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
        tried.append(block)
        odds.append(fit(before).odds(examples.features.rows(block)))
    return np.concatenate(tried), np.concatenate(odds)


def fit(examples: Examples, slope: float = 1.0, shift: float = 0.0) -> Model:
    """A ridge logistic regression on everything given; what the dense columns weigh is settled on
    the last of the rows given, so that it looks at nothing else either."""
    n = len(examples.passed)
    first, last = np.split(np.arange(n), [round(n * (1 - _HELD_BACK))])
    known, held = examples.rows(first), examples.rows(last)
    light, heavy = _DENSE_WEIGHTS
    best = light
    if len(set(known.passed)) == 2 and len(held.passed):
        gain = _losses(_fit(known, light), held) - _losses(_fit(known, heavy), held)
        if gain.mean() > gain.std() / len(gain) ** 0.5:  # more than its own error
            best = heavy
    return replace(_fit(examples, best), slope=slope, shift=shift)


def _losses(model: Model, held: Examples) -> np.ndarray:
    """The log-loss of every row, by its weight."""
    signed = np.where(held.passed > 0, 1.0, -1.0) * model.odds(held.features)
    found: np.ndarray = np.logaddexp(0, -signed) * held.weight
    return found


def _fit(examples: Examples, dense_weight: float) -> Model:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    features = examples.features
    scale = features.dense.std(axis=0)
    blank = Model(
        _rarity(features.questions),
        _rarity(features.new_words),
        _rarity(features.openings),
        features.dense.mean(axis=0),
        np.where(scale > 1e-9, scale, 1.0),
        dense_weight,
        np.zeros(0),
        0.0,
        1.0,
        0.0,
    )
    x = _design(blank, features)
    # Words that no example has get the coefficient zero; to leave them out makes the fit small.
    seen = np.flatnonzero(x.getnnz(axis=0))
    # Threads gain nothing on vectors of this size, and spin on a busy machine.
    with threadpool_limits(1):
        fitted = LogisticRegression(C=_C, max_iter=400, tol=1e-3).fit(
            x[:, seen], examples.passed, sample_weight=examples.weight
        )
    coefficients = np.zeros(x.shape[1])
    coefficients[seen] = fitted.coef_[0]
    return replace(blank, coefficients=coefficients, intercept=float(fitted.intercept_[0]))


def _design(model: Model, features: Features) -> csr_matrix:
    standard = np.clip((features.dense - model.mean) / model.scale, -5, 5) * model.dense_weight
    parts = [
        _tf_idf(features.questions, model.question_rarity) * BLOCK_WEIGHT["questions"],
        _tf_idf(features.new_words, model.new_word_rarity) * BLOCK_WEIGHT["new_words"],
        _tf_idf(features.openings, model.opening_rarity) * BLOCK_WEIGHT["openings"],
        csr_matrix(standard),
    ]
    return hstack(parts, format="csr")


def _probability(odds: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return found


def _rarity(counts: csr_matrix) -> np.ndarray:
    """Smoothed inverse document frequency of every hashed word."""
    n = counts.shape[0]
    found: np.ndarray = np.log((1 + n) / (1 + counts.getnnz(axis=0))) + 1
    return found


def _tf_idf(counts: csr_matrix, rarity: np.ndarray) -> csr_matrix:
    weights = (1 + np.log(counts.data)) * rarity[counts.indices]
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    norms = np.sqrt(np.bincount(row, weights * weights, counts.shape[0]))
    weights /= np.maximum(norms, 1e-12)[row]
    return csr_matrix((weights, counts.indices, counts.indptr), shape=counts.shape)


def _calibrate(odds: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Platt's sigmoid (1999) on predictions out of fold: slope and shift of the log-odds."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=10.0).fit(odds.reshape(-1, 1), truth)
    slope = float(fitted.coef_[0, 0])
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (1e-6, 0.0)


def _auc(truth: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve with its standard error (Hanley & McNeil 1982)."""
    from scipy.stats import rankdata

    n1, n0 = float(truth.sum()), float((1 - truth).sum())
    if not n1 or not n0:
        return 0.5, 0.5
    area = float((rankdata(values)[truth > 0].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n1 - 1) * (q1 - area**2) + (n0 - 1) * (q2 - area**2)
    return area, float(np.sqrt(max(0.0, variance) / (n1 * n0)))


def _best_single(dense: np.ndarray, truth: np.ndarray) -> float:
    """The AUC of the best single cheap feature, whichever way round."""
    found = (_auc(truth, column)[0] for column in dense.T if column.std() > 0)
    return max((max(area, 1 - area) for area in found), default=0.5)
