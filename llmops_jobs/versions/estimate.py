"""The difference between two versions on the same kind of traffic, and its standard error.

Versions rarely get the same mix of features and tenants. The difference is therefore taken within
each stratum and averaged over strata with the pooled traffic as weights (post-stratification);
strata that only one version saw cannot be compared and are said to be left out. Calls of one user
resemble each other: the variance adds up influence by user (cluster-robust), not by call. An arm
that has (almost) only passed shows no spread, which does not make it certain: it gets the variance
of a share with one success and one failure more on top (Agresti and Caffo 2000).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_SMALLEST_CELL = 5  # calls of each version in a stratum
_RARE = 5  # outcomes of one kind in an arm, below which its spread is not known


@dataclass(frozen=True)
class Difference:
    """`units` are the users (or sessions) of both arms, `smallest` those of the smaller arm;
    `overlap` is the share of calls compared."""

    n_baseline: int
    n_candidate: int
    baseline: float
    candidate: float
    difference: float
    standard_error: float
    units: int
    smallest: int
    overlap: float


@dataclass(frozen=True)
class Arms:
    """Calls of two versions with their groups as whole numbers; arm 0 is the baseline."""

    arm: np.ndarray
    stratum: np.ndarray
    cluster: np.ndarray

    @classmethod
    def of(cls, arm: np.ndarray, stratum: np.ndarray, cluster: np.ndarray) -> Arms:
        """From any values that are equal within a group."""
        import pandas as pd

        return cls(np.asarray(arm), pd.factorize(stratum)[0], pd.factorize(cluster)[0])


@dataclass(frozen=True)
class Slices:
    """Parts of the calls of two versions, each made of whole strata; no stratum is in two.

    A user's calls within a slice add up, so every call has the number of its (slice, user).
    """

    names: tuple[str, ...]
    of_stratum: np.ndarray  # number of its slice; len(names) for a stratum in none
    unit: np.ndarray  # of a call
    of_unit: np.ndarray  # the slice of each unit

    @classmethod
    def of(cls, arms: Arms, names: tuple[str, ...], of_stratum: np.ndarray) -> Slices:
        import pandas as pd

        of_call = of_stratum[arms.stratum].astype(np.int64)
        clusters = int(arms.cluster.max(initial=0)) + 1
        unit, pairs = pd.factorize(of_call * clusters + arms.cluster)
        return cls(names, of_stratum, unit, np.asarray(pairs) // clusters)

    @classmethod
    def whole(cls, arms: Arms) -> Slices:
        """The one slice that holds everything."""
        strata = int(arms.stratum.max(initial=-1)) + 1
        return cls.of(arms, ("total",), np.zeros(strata, dtype=np.int64))


def difference(
    arms: Arms, value: np.ndarray, weight: np.ndarray | None = None
) -> Difference | None:
    """`differences` of all calls."""
    return next(differences(arms, value, [Slices.whole(arms)], weight), ("", None))[1]


def differences(
    arms: Arms, value: np.ndarray, parts: Sequence[Slices], weight: np.ndarray | None = None
) -> Iterator[tuple[str, Difference]]:
    """Candidate minus baseline of the mean of `value`, one number per call, NaN where unknown.

    Yields a slice's name and its difference, for slices of which both versions saw a stratum.
    `weight` is the inverse inclusion probability where the value is known of a sample only.
    """
    known = np.flatnonzero(np.isfinite(value))
    if not len(known):
        return
    strata = int(arms.stratum.max()) + 1
    cell = arms.stratum[known] * 2 + arms.arm[known]
    n = np.bincount(cell, minlength=2 * strata).reshape(-1, 2)
    shared = np.all(n >= _SMALLEST_CELL, axis=1)
    inside = shared[arms.stratum[known]]
    rows, cell = known[inside], cell[inside]
    if not len(rows):
        return
    x = value[rows]
    w = np.ones(len(rows)) if weight is None else weight[rows]
    total = np.bincount(cell, w, 2 * strata)
    mean = np.bincount(cell, w * x, 2 * strata) / np.where(total > 0, total, 1)
    pooled = total[0::2] + total[1::2]  # a stratum's weight; strata left out have none
    # One user may be in both arms: the signed sum over the user keeps that covariance.
    sign = np.where(arms.arm[rows] == 1, 1.0, -1.0)
    scale = np.repeat(pooled, 2) / np.where(total > 0, total, 1)
    influence = sign * scale[cell] * w * (x - mean[cell])
    of_arm = n * shared[:, None]
    is_share = bool(((x == 0) | (x == 1)).all())
    ones = np.bincount(cell, x, 2 * strata).reshape(-1, 2)
    for part in parts:
        size = len(part.names) + 1  # the last one holds what is in no slice

        def sums(of_strata: np.ndarray, part: Slices = part, size: int = size) -> np.ndarray:
            return np.bincount(part.of_stratum, of_strata, size)

        share = sums(pooled)
        units = len(part.of_unit)
        by_unit = np.bincount(part.unit[rows], influence, units)
        clusters = _units(part, rows, size)
        squares = np.bincount(part.of_unit, by_unit**2, size)
        smallest = np.minimum(*(_units(part, rows[sign == side], size) for side in (-1.0, 1.0)))
        sides = [sums(pooled * mean[arm::2]) for arm in (0, 1)]
        calls = [sums(of_arm[:, arm]) for arm in (0, 1)]
        unseen = np.zeros(size)
        for arm in (0, 1) if is_share else ():
            unseen += _unseen(calls[arm], sums(ones[:, arm]))
        all_calls = sums(n.sum(axis=1))
        for slot, name in enumerate(part.names):
            if share[slot] <= 0:
                continue
            correction = clusters[slot] / max(clusters[slot] - 1, 1)
            baseline, candidate = (float(side[slot] / share[slot]) for side in sides)
            yield (
                name,
                Difference(
                    n_baseline=int(calls[0][slot]),
                    n_candidate=int(calls[1][slot]),
                    baseline=baseline,
                    candidate=candidate,
                    difference=candidate - baseline,
                    standard_error=float(
                        np.sqrt(correction * squares[slot] / share[slot] ** 2 + unseen[slot])
                    ),
                    units=int(clusters[slot]),
                    smallest=int(smallest[slot]),
                    overlap=float((calls[0][slot] + calls[1][slot]) / all_calls[slot]),
                ),
            )


def _units(part: Slices, rows: np.ndarray, size: int) -> np.ndarray:
    """How many users each slice has among these calls."""
    seen = np.bincount(part.unit[rows], minlength=len(part.of_unit)) > 0
    return np.bincount(part.of_unit[seen], minlength=size)


def _unseen(n: np.ndarray, ones: np.ndarray) -> np.ndarray:
    """The variance to add to a mean of 0 and 1 of which one is hardly among the `n`."""
    rate = (ones + 1) / (n + 2)
    rare = np.minimum(ones, n - ones) < _RARE
    return np.where(rare, rate * (1 - rate) / (n + 2), 0.0)
