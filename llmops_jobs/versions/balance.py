"""Whether two versions got the same kind of traffic: a balance table of what calls came with.

A standardised mean difference is the difference of two means in standard deviations; beyond a tenth
an assignment does not look random (Austin: Balance diagnostics for comparing the distribution of
baseline covariates, Statistics in Medicine 2009). *Before* is the traffic as it came; *after* is
what is left once calls are compared within feature and tenant, over the deviation from before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from llmops_jobs.versions.estimate import Difference, Slices, differences
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

    def left(value: np.ndarray) -> Difference | None:
        return next(differences(pair.arms, value, [whole]), ("", None))[1]

    calls, arm = pair.calls, pair.arms.arm
    found = []
    for name in ("feature", "tenant"):
        codes = calls[name]
        levels = {calls.text(code): codes == code for code in np.unique(codes)}
        # What is compared is compared within these two: nothing of them is left by construction.
        found += _levels(pair, name, levels, None)
    hours = calls["hour"] // 6
    found += _levels(pair, "hour", {name: hours == n for n, name in enumerate(_HOURS)}, left)
    weekday = (calls["day"] - 1) % 7  # day 1 of the calendar was a Monday
    found += _levels(
        pair, "weekday", {name: weekday == n for n, name in enumerate(_WEEKDAYS)}, left
    )
    tokens = calls["input_tokens"]
    known = np.isfinite(tokens)
    if all((known & (arm == side)).any() for side in (0, 1)):
        length = np.where(known, np.log1p(np.where(known, tokens, 0)), np.nan)
        sides = [tokens[known & (arm == side)].mean() for side in (0, 1)]
        row = _row(pair, "input_tokens", "", length, left(length))
        found.append(
            Imbalance(**{**row.__dict__, "baseline_value": sides[0], "candidate_value": sides[1]})
        )
    return found


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


def _levels(
    pair: Pair,
    covariate: str,
    levels: dict[str, np.ndarray],
    left: Callable[[np.ndarray], Difference | None] | None,
) -> list[Imbalance]:
    """The level that differs most; `left` gives what remains, None where nothing can."""
    rows = []
    for level, inside in levels.items():
        value = inside.astype(float)
        if left is not None and not 0 < value.mean() < 1:
            continue
        found = left(value) if left is not None else None
        rows.append(_row(pair, covariate, level, value, found, adjusted=left is None))
    return sorted(rows, key=lambda row: (-abs(row.smd_before), row.level))[:1]


def _row(
    pair: Pair,
    covariate: str,
    level: str,
    value: np.ndarray,
    found: Difference | None,
    *,
    adjusted: bool = False,
) -> Imbalance:
    sides = [value[(pair.arms.arm == side) & np.isfinite(value)] for side in (0, 1)]
    means = [float(side.mean()) for side in sides]
    deviation = float(np.sqrt((sides[0].var() + sides[1].var()) / 2))
    if deviation < 1e-9 * (1 + abs(means[0])):  # all alike, but for the rounding of sums
        alike = bool(np.isclose(means[0], means[1]))
        deviation, means = 0.0, [means[0]] * 2 if alike else means
    # Two versions that share nothing of a level differ without any deviation to measure it by.
    apart = 0.0 if means[0] == means[1] else float(np.sign(means[1] - means[0])) * 10.0
    before = (means[1] - means[0]) / deviation if deviation > 0 else apart
    after: float | None = 0.0 if adjusted else None
    if found is not None:
        after = found.difference / deviation if deviation > 0 else 0.0
    # Users, not calls, are assigned: theirs is the number that chance depends on.
    users = [len(np.unique(pair.arms.cluster[pair.arms.arm == side])) for side in (0, 1)]
    noise = float(np.sqrt(1 / users[0] + 1 / users[1]))
    return Imbalance(covariate, level, means[0], means[1], before, after, noise)
