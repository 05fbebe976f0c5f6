"""Rows of the table `score`, as frames small enough to hold a large day: strings that repeat are
categories, and rows are in the order of their calls, which is that of the table's key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.evals import scorer as scoring
from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.scorer import Score, Scorer

_REASON_LENGTH = 300


@dataclass
class Scored:
    """What a day's scoring came to: rows by status, and how many failed each scorer."""

    calls: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, rows: pd.DataFrame) -> None:
        """Counts rows of `score` in."""
        if rows.empty:
            return
        self.statuses.update(rows["status"].tolist())
        failed = rows["passed"].eq(False).fillna(False).astype(bool)
        self.failures.update(dict.fromkeys(rows["scorer"].unique(), 0))  # named, if none failed
        self.failures.update(rows.loc[failed, "scorer"].tolist())


def score_calls(batch: Batch, scorers: Iterable[Scorer]) -> pd.DataFrame:
    """Every scorer's rows for a batch, without project and day."""
    return frame(batch, [(each.name, each.version, scoring.run(each, batch)) for each in scorers])


def frame(batch: Batch, found: Sequence[tuple[str, str, Sequence[Score]]]) -> pd.DataFrame:
    """Rows of scorers, by name and version, that each gave one score per call of the batch."""
    if not found or not batch.calls:
        return pd.DataFrame()
    calls, n = batch.calls, len(found)
    scores = list(_by_call([each for _, _, each in found]))
    return pd.DataFrame(
        {
            "trace_id": np.repeat(np.array([call.trace_id for call in calls], object), n),
            "observation_id": np.repeat(
                np.array([call.observation_id for call in calls], object), n
            ),
            "scorer": _repeated([name for name, _, _ in found], len(calls)),
            "scorer_version": _repeated([version for _, version, _ in found], len(calls)),
            "value": np.array([score.value for score in scores], float),
            "label": pd.Categorical([score.label for score in scores]),
            "passed": pd.array([score.passed for score in scores], "boolean"),
            "reason": pd.Categorical([score.reason[:_REASON_LENGTH] for score in scores]),
            "status": pd.Categorical([score.status for score in scores]),
            "cost_usd": np.array([score.cost_usd for score in scores], object),
            "inclusion_probability": np.repeat([call.inclusion_probability for call in calls], n),
        }
    )


def _by_call(scores: Sequence[Sequence[Score]]) -> Iterator[Score]:
    for of_one_call in zip(*scores, strict=True):
        yield from of_one_call


def _repeated(names: Sequence[str], times: int) -> Any:
    codes, known = pd.factorize(np.array(names, object))
    return pd.Categorical.from_codes(np.tile(codes, times), known)


def histogram(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rows of `score_histogram`: how the day's values of each scorer were distributed."""
    sums = [_histogram(part) for part in parts if not part.empty]
    if not sums:
        return pd.DataFrame()
    return pd.concat(sums).groupby(["scorer", "bucket"], as_index=False, sort=False).sum()


def _histogram(rows: pd.DataFrame) -> pd.DataFrame:
    scored = rows[rows["value"].notna()]
    weights = 1 / scored["inclusion_probability"].to_numpy(dtype=float)
    wide = pd.DataFrame(
        {
            "scorer": scored["scorer"].astype(object).to_numpy(),
            "bucket": bucket(scored["value"].to_numpy(dtype=float)),
            "n": 1,
            "w": weights,
            "w2": weights**2,
        }
    )
    return wide.groupby(["scorer", "bucket"], as_index=False, sort=False).sum()


def bucket(values: np.ndarray) -> np.ndarray:
    """The bucket of a score: tenths up to 1, half powers of two beyond."""
    tenths = np.floor(np.clip(values, 0, 1) * 10)
    powers = 10 + np.floor(2 * np.log2(np.maximum(values, 1)))
    found: np.ndarray = np.where(values <= 1, tenths, powers).astype(int)
    return found
