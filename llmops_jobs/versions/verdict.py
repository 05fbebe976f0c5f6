"""From a difference to a verdict: better, worse, the same within a margin, or not enough data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from llmops_jobs.versions.estimate import Difference
from llmops_jobs.versions.sequence import e_value, radius, units_for

# Users of the smaller arm. The intervals rest on the normal law of a mean over users, and on a
# variance that fewer cannot tell.
SMALLEST_ARM = 25

Verdict = Literal["better", "worse", "same", "not_enough_data"]


@dataclass(frozen=True)
class Measure:
    """What is compared: `higher_is_better`, and the margin within which two versions are the same.

    The margin is in the metric's unit, or relative to the baseline when `relative`.
    """

    name: str
    higher_is_better: bool
    margin: float
    relative: bool = False


@dataclass(frozen=True)
class Judged:
    low: float
    high: float
    verdict: Verdict
    needed: int | None
    e_value: float


def judge(measure: Measure, found: Difference) -> Judged:
    """Interval and verdict. `needed` is about how many more calls would decide, None if decided.

    An arm of fewer than SMALLEST_ARM users decides nothing, whatever its interval says.
    """
    half = radius(found.standard_error, found.units)
    low, high = found.difference - half, found.difference + half
    margin = measure.margin * (abs(found.baseline) if measure.relative else 1)
    sign = 1 if measure.higher_is_better else -1
    evidence = (
        e_value(found.difference / found.standard_error, found.units)
        if found.standard_error > 0
        else 1.0
    )
    verdict: Verdict = "not_enough_data"
    if found.smallest < SMALLEST_ARM:
        missing = (SMALLEST_ARM - found.smallest) / max(found.smallest, 1)
        return Judged(low, high, verdict, max(1, round(missing * found.n_candidate)), 1.0)
    if -margin < low and high < margin:
        verdict = "same"
    elif low > 0 or high < 0:
        verdict = "better" if sign * found.difference > 0 else "worse"
    needed = None
    if verdict == "not_enough_data":
        needed = _needed(found, max(margin - abs(found.difference), abs(found.difference)))
    return Judged(low, high, verdict, needed, evidence)


def _needed(found: Difference, target: float) -> int | None:
    units = units_for(target, found.standard_error, found.units)
    if not math.isfinite(units):
        return None
    calls_per_unit = (found.n_baseline + found.n_candidate) / max(found.units, 1)
    return max(1, round((units - found.units) * calls_per_unit))
