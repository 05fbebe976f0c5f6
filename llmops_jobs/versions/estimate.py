"""The difference between two versions on the same kind of traffic, and its standard error.

Versions rarely get the same mix of features and tenants. The difference is therefore taken within
each stratum and averaged over strata with the pooled traffic as weights (post-stratification);
strata that only one version saw cannot be compared and are said to be left out. Calls of one user
resemble each other: the variance adds up influence by user (cluster-robust), not by call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_SMALLEST_CELL = 5  # calls of each version in a stratum


@dataclass(frozen=True)
class Difference:
    """`units` are the users (or sessions) of both arms; `overlap` the share of calls compared."""

    n_baseline: int
    n_candidate: int
    baseline: float
    candidate: float
    difference: float
    standard_error: float
    units: int
    overlap: float


@dataclass(frozen=True)
class Arms:
    """Calls of two versions with their groups as whole numbers; arm 0 is the baseline."""

    arm: np.ndarray
    stratum: np.ndarray
    cluster: np.ndarray

    @classmethod
    def of(cls, calls: pd.DataFrame) -> Arms:
        """From columns arm, stratum and cluster."""
        codes = (np.asarray(calls[name].factorize()[0]) for name in ("stratum", "cluster"))
        return cls(calls["arm"].to_numpy(), *codes)

    def take(self, kept: np.ndarray) -> Arms:
        return Arms(self.arm[kept], self.stratum[kept], self.cluster[kept])


def difference(
    arms: Arms, value: np.ndarray, weight: np.ndarray | None = None
) -> Difference | None:
    """Candidate minus baseline of the mean of `value`, one number per call, NaN where unknown.

    `weight` is the inverse inclusion probability where the value is known of a sample only. None
    when no stratum was seen by both versions.
    """
    known = np.flatnonzero(np.isfinite(value))
    if not len(known):
        return None
    arms = arms.take(known)
    cells = np.bincount(arms.stratum * 2 + arms.arm, minlength=2 * (arms.stratum.max() + 1))
    shared = np.all(cells.reshape(-1, 2) >= _SMALLEST_CELL, axis=1)
    compared = np.flatnonzero(shared[arms.stratum])
    if not len(compared):
        return None
    rows = known[compared]
    return _stratified(
        arms.take(compared),
        value[rows],
        np.ones(len(rows)) if weight is None else weight[rows],
        overlap=len(rows) / len(known),
    )


def _stratified(arms: Arms, x: np.ndarray, w: np.ndarray, *, overlap: float) -> Difference:
    cell = arms.stratum * 2 + arms.arm
    strata = arms.stratum.max() + 1
    total = np.bincount(cell, w, 2 * strata)
    # Strata that were left out have no weight: their means are never used.
    mean = np.bincount(cell, w * x, 2 * strata) / np.where(total > 0, total, 1)
    share = np.bincount(arms.stratum, w, strata) / w.sum()
    baseline, candidate = float(share @ mean[0::2]), float(share @ mean[1::2])
    influence = share[arms.stratum] * w / total[cell] * (x - mean[cell])
    # One user may be in both arms: the signed sum over the user keeps that covariance.
    signed = np.where(arms.arm == 1, influence, -influence)
    by_cluster = np.bincount(arms.cluster, signed)
    clusters = int((np.bincount(arms.cluster) > 0).sum())
    correction = clusters / max(clusters - 1, 1)
    n_candidate = int(arms.arm.sum())
    return Difference(
        n_baseline=len(x) - n_candidate,
        n_candidate=n_candidate,
        baseline=baseline,
        candidate=candidate,
        difference=candidate - baseline,
        standard_error=float(np.sqrt(correction * (by_cluster**2).sum())),
        units=clusters,
        overlap=overlap,
    )
