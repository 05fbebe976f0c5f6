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


def difference(calls: pd.DataFrame, value: str, weight: str | None = None) -> Difference | None:
    """Candidate minus baseline of the mean of column `value`.

    `calls` has a row per call with arm (0 baseline, 1 candidate), stratum, cluster and the value;
    rows without a value are left out. `weight` names the column of inverse inclusion probabilities
    where the value is known of a sample only. None when no stratum was seen by both.
    """
    rows = calls[calls[value].notna()]
    if rows.empty:
        return None
    counts = rows.groupby(["stratum", "arm"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=[0, 1], fill_value=0)
    shared = counts[(counts >= _SMALLEST_CELL).all(axis=1)].index
    compared = rows[rows["stratum"].isin(shared)]
    if compared.empty:
        return None
    x = compared[value].to_numpy(dtype=float)
    w = np.ones(len(x)) if weight is None else compared[weight].to_numpy(dtype=float)
    arm = compared["arm"].to_numpy()
    stratum, _ = _codes(compared["stratum"])
    cell = stratum * 2 + arm
    size = 2 * (stratum.max() + 1)
    total = np.bincount(cell, w, size)
    mean = np.bincount(cell, w * x, size) / total
    share = np.bincount(stratum, w) / w.sum()
    baseline, candidate = float(share @ mean[0::2]), float(share @ mean[1::2])
    influence = share[stratum] * w / total[cell] * (x - mean[cell])
    cluster, clusters = _codes(compared["cluster"])
    # One user may be in both arms: the signed sum over the user keeps that covariance.
    by_cluster = np.bincount(cluster, np.where(arm == 1, influence, -influence), clusters)
    correction = clusters / max(clusters - 1, 1)
    return Difference(
        n_baseline=int((arm == 0).sum()),
        n_candidate=int((arm == 1).sum()),
        baseline=baseline,
        candidate=candidate,
        difference=candidate - baseline,
        standard_error=float(np.sqrt(correction * (by_cluster**2).sum())),
        units=clusters,
        overlap=len(compared) / len(rows),
    )


def _codes(column: pd.Series) -> tuple[np.ndarray, int]:
    codes, values = column.factorize()
    return np.asarray(codes), len(values)
