"""The decision of one metric from values of different items: a run against production.

Nothing pairs the two sides, so each has a variance of its own: that of the candidate over its
items, that of production over its users, whose calls resemble each other. The interval of the
difference is Welch's, with Satterthwaite's degrees of freedom. A side that only ever passed is not
certain to pass for ever: the variance of pass/fail values is taken a success and a failure further
(Agresti and Caffo 2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.versions.gate.decide import Decision, bounded, verdict_of
from llmops_jobs.versions.gate.rules import MetricRule

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Values:
    """What the calls of production scored: a value, a weight and a user's number each."""

    value: np.ndarray
    weight: np.ndarray
    user: np.ndarray

    @property
    def users(self) -> int:
        return len(np.unique(self.user))

    @property
    def mean(self) -> float:
        return float(np.average(self.value, weights=self.weight))

    @property
    def variance(self) -> float:
        """Of the mean, with the influence added up by user."""
        influence = self.weight * (self.value - self.mean) / self.weight.sum()
        by_user = np.bincount(np.unique(self.user, return_inverse=True)[1], influence)
        n = len(by_user)
        clustered = n / max(n - 1, 1) * float((by_user**2).sum())
        return max(clustered, _binary_floor(self.value))


def decide_unpaired(
    metric: str, production: Values, items: pd.DataFrame, rule: MetricRule, alpha: float
) -> Decision:
    """`items` has mean, min and max over the repeats of every item, by item_id."""
    from scipy import stats

    sign = 1.0 if rule.higher_is_better else -1.0
    values = items["mean"].to_numpy(dtype=float)
    n, users = len(values), production.users
    of_items = max(float(values.var(ddof=1)) / n, _binary_floor(values))
    error = math.sqrt(of_items + production.variance)
    difference = float(values.mean()) - production.mean
    parts = of_items**2 / (n - 1) + production.variance**2 / max(users - 1, 1)
    freedom = error**4 / parts if parts > 0 else math.inf
    half = float(stats.t.ppf(1 - alpha / 2, freedom)) * error if error > 0 else 0.0
    low, high = sign * difference - half, sign * difference + half
    p_value = float(2 * stats.t.sf(abs(difference) / error, freedom)) if error > 0 else 1.0
    margin = rule.margin * (abs(production.mean) if rule.relative else 1.0)
    verdict, reason = verdict_of(low, high, p_value, margin, alpha)
    verdict, reason = bounded(values, rule, alpha, verdict, reason)
    flaky = (items["min"] != items["max"]) & items["min"].isin((0, 1)) & items["max"].isin((0, 1))
    binary = bool(items[["min", "max"]].isin((0.0, 1.0)).to_numpy().all())
    return Decision(
        metric=metric,
        verdict=verdict,
        reason=reason,
        items=n,
        baseline=production.mean,
        candidate=float(values.mean()),
        difference=difference,
        low=difference - half,
        high=difference + half,
        p_value=p_value,
        margin=float(margin),
        needed=_needed(values, production, sign * difference + margin, half / error)
        if verdict == "inconclusive" and error > 0
        else None,
        flaky=tuple(items.index[flaky].astype(str)) if binary else (),
        regressed=(),
        all_repeats_passed=float((items["min"] == 1).mean()) if binary else None,
    )


def _binary_floor(values: np.ndarray) -> float:
    """Variance of the mean of pass/fail values with one more success and failure; else 0."""
    if not np.isin(values, (0.0, 1.0)).all():
        return 0.0
    rate = (values.sum() + 1) / (len(values) + 2)
    return float(rate * (1 - rate) / (len(values) + 2))


def _needed(values: np.ndarray, production: Values, room: float, quantile: float) -> int | None:
    """About how many items would decide; None where production's own uncertainty is too large."""
    left = (room / quantile) ** 2 - production.variance
    if left <= 0:
        return None
    spread = max(float(values.var(ddof=1)), _binary_floor(values) * len(values))
    return max(len(values) + 1, math.ceil(spread / left))
