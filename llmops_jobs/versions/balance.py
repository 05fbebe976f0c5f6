"""Whether two versions got the same kind of traffic: a balance table of what calls came with.

A standardised mean difference is the difference of two means in standard deviations; beyond a tenth
an assignment does not look random (Austin: Balance diagnostics for comparing the distribution of
baseline covariates, Statistics in Medicine 2009). *Before* is the traffic as it came; *after* is
what is left once calls are compared within feature and tenant, over the deviation from before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llmops_jobs.versions.calls import STANDS_FOR
from llmops_jobs.versions.estimate import Slices, differences
from llmops_jobs.versions.pairs import Pair

IMBALANCED = 0.1
_NOISE = 3.0  # standard errors: a small arm differs by chance
_HOURS = ("00-06", "06-12", "12-18", "18-24")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Imbalance:
    """One covariate: of a categorical one the level that differs most. Values are shares or means.

    `smd_after` is None where no call can be compared.
    """

    covariate: str
    level: str
    baseline_value: float
    candidate_value: float
    smd_before: float
    smd_after: float | None
    deviation: float  # what the differences are measured in
    noise: float  # of the differences, by chance alone

    @property
    def is_random(self) -> bool:
        return abs(self.smd_before) <= max(IMBALANCED, _NOISE * self.noise)

    @property
    def is_left(self) -> bool:
        left = abs(self.smd_after or 0.0)
        return left > max(IMBALANCED, _NOISE * self.noise)


def balance(pair: Pair, whole: Slices) -> list[Imbalance]:
    """A row per covariate: feature, tenant, hour (UTC), weekday and input_tokens.

    `whole` is the pair's slice of everything.
    """
    calls, arm, stand_for = pair.calls, pair.arms.arm, pair.calls[STANDS_FOR]
    # Users, not calls, are assigned: theirs is the number that chance depends on.
    users = [np.count_nonzero(np.bincount(pair.arms.cluster[arm == side])) for side in (0, 1)]
    noise = float(np.sqrt(1 / users[0] + 1 / users[1]))

    def left(value: np.ndarray, deviation: float) -> float | None:
        found = next(differences(pair.arms, value, [whole], stand_for), None)
        if found is None:
            return None
        return found[1].difference / deviation if deviation > 0 else 0.0

    rows = []
    for name in ("feature", "tenant"):
        codes, level = np.unique(calls[name], return_inverse=True)
        row = _levels(name, [calls.text(code) for code in codes], level, arm, stand_for, noise)
        # What is compared is compared within these two: nothing of them is left by construction.
        rows.append(replace(row, smd_after=0.0))
    for name, levels, level in (
        ("hour", _HOURS, calls["hour"] // 6),
        ("weekday", _WEEKDAYS, (calls["day"] - 1) % 7),  # day 1 of the calendar was a Monday
    ):
        row = _levels(name, levels, level, arm, stand_for, noise)
        inside = (level == levels.index(row.level)).astype(float)
        rows.append(replace(row, smd_after=left(inside, row.deviation)))
    tokens = calls["input_tokens"]
    known = np.isfinite(tokens)
    sides = [known & (arm == side) for side in (0, 1)]
    if sides[0].any() and sides[1].any():
        old, new = ((tokens[of], stand_for[of]) for of in sides)
        row = _number("input_tokens", old, new, noise)
        logs = np.log1p(np.where(known, tokens, np.nan))
        rows.append(replace(row, smd_after=left(logs, row.deviation)))
    return rows


def _levels(
    covariate: str,
    names: Sequence[str],
    level: np.ndarray,
    arm: np.ndarray,
    stands_for: np.ndarray,
    noise: float,
) -> Imbalance:
    """The level whose share differs most. `level` is the number of its name, a call each."""
    counts = np.bincount(level * 2 + arm, stands_for, 2 * len(names)).reshape(-1, 2)
    shares = counts / counts.sum(axis=0)
    deviation = np.sqrt((shares * (1 - shares)).sum(axis=1) / 2)
    apart = shares[:, 1] - shares[:, 0]
    # Two versions that share nothing of a level differ without any deviation to measure it by.
    before = np.where(deviation > 0, apart / np.where(deviation > 0, deviation, 1), 10 * apart)
    most = int(np.argmax(np.abs(before)))
    old, new = shares[most].tolist()
    spread = float(deviation[most])
    return Imbalance(covariate, names[most], old, new, float(before[most]), None, spread, noise)


def _number(
    covariate: str,
    old: tuple[np.ndarray, np.ndarray],
    new: tuple[np.ndarray, np.ndarray],
    noise: float,
) -> Imbalance:
    """Means, and their difference on the log scale, on which lengths are about normal. A side is
    its values and what each stands for."""
    means = [float(np.average(value, weights=weight)) for value, weight in (old, new)]
    logs = [(np.log1p(value), weight) for value, weight in (old, new)]
    centres = [float(np.average(log, weights=weight)) for log, weight in logs]
    spreads = [
        np.average((log - centre) ** 2, weights=weight)
        for (log, weight), centre in zip(logs, centres, strict=True)
    ]
    deviation = float(np.sqrt((spreads[0] + spreads[1]) / 2))
    apart = centres[1] - centres[0]
    if deviation < 1e-9:  # all alike, but for the rounding of sums
        deviation, apart = 0.0, 10 * float(np.sign(apart)) if abs(apart) > 1e-9 else 0.0
    before = apart / deviation if deviation > 0 else apart
    return Imbalance(covariate, "", means[0], means[1], before, None, deviation, noise)


def caveats(pair: Pair, rows: list[Imbalance]) -> Iterator[str]:
    """What to know of the assignment, in words. A prompt's own length is no property of its
    traffic, so that input tokens count for models only."""
    judged = [
        row for row in rows if row.covariate != "input_tokens" or pair.subject.startswith("model:")
    ]
    uneven = [row for row in judged if not row.is_random]
    if uneven:
        said = ", ".join(f"{row.covariate} ({row.smd_before:+.2f} SD)" for row in uneven)
        yield f"not assigned at random: {said}"
    left = [row for row in judged if row.is_left]
    if left:
        said = ", ".join(f"{row.covariate} ({row.smd_after:+.2f} SD)" for row in left)
        yield f"still unlike after adjustment: {said}"
