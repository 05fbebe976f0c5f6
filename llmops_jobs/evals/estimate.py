"""Rates with intervals: from weighted samples, from labels, and from labels with a predictor.

Everything is computed from sums over rows, so that a week is the sum of its days. Rates are shares
that pass, 0 to 1; intervals are 95 % unless `confidence` says otherwise.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from functools import cache

import numpy as np

#: Below this many labelled failures (or passes) the normal approximation under-covers.
FEW = 10


@dataclass(frozen=True, slots=True)
class Interval:
    estimate: float
    low: float
    high: float
    method: str


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over rows of a weight w, an outcome y in {0, 1} and a prediction f in [0, 1].

    `w` is 1 / (inclusion probability). The squares are of the weight: w2_yf is the sum of w² y f.
    """

    n: int = 0
    w: float = 0.0
    wy: float = 0.0
    wf: float = 0.0
    w2: float = 0.0
    w2_y: float = 0.0
    w2_f: float = 0.0
    w2_yf: float = 0.0
    w2_ff: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def wilson(rate: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a rate seen in n rows (n may be an effective size)."""
    if n <= 0:
        return 0.0, 1.0
    return _score_interval(rate, n, _normal_quantile(confidence))


def _score_interval(rate: float, n: float, z: float) -> tuple[float, float]:
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def weighted_rate(rows: Sums, confidence: float = 0.95) -> Interval:
    """The share of y among all rows of the population, from a sample with known probabilities.

    Hájek's ratio of Horvitz-Thompson totals; Wilson's interval at the effective sample size that
    the linearised variance implies (Korn & Graubard 1998), which holds near 0 and 1 too.
    """
    if rows.n == 0 or rows.w <= 0:
        return Interval(math.nan, math.nan, math.nan, "horvitz_thompson")
    rate = min(1.0, max(0.0, rows.wy / rows.w))
    variance = (rows.w2_y * (1 - 2 * rate) + rate * rate * rows.w2) / rows.w**2
    size = rows.w**2 / rows.w2
    if 0 < rate < 1 and variance > 0:
        size = min(float(rows.n), rate * (1 - rate) / variance)
    low, high = wilson(rate, size, confidence)
    equal = math.isclose(rows.w2 * rows.n, rows.w**2, rel_tol=1e-9)
    return Interval(rate, low, high, "wilson" if equal else "horvitz_thompson")


@dataclass(frozen=True, slots=True)
class Intervals:
    """Many at once: arrays, and the method of each."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    method: list[str]


def weighted_rates(
    n: np.ndarray, w: np.ndarray, wy: np.ndarray, w2: np.ndarray, w2_y: np.ndarray
) -> Intervals:
    """`weighted_rate` of many groups at once, from their sums as arrays; every group has rows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.clip(wy / w, 0, 1)
        variance = (w2_y * (1 - 2 * rate) + rate * rate * w2) / w**2
        own = rate * (1 - rate) / variance
        inside = (rate > 0) & (rate < 1) & (variance > 0)
        size = np.where(inside, np.minimum(n, own), w**2 / w2)
    z = _normal_quantile(0.95)
    centre = (rate + z * z / (2 * size)) / (1 + z * z / size)
    spread = np.sqrt(rate * (1 - rate) / size + z * z / (4 * size * size))
    half = z / (1 + z * z / size) * spread
    equal = np.isclose(w2 * n, w**2, rtol=1e-9, atol=0)
    method = ["wilson" if each else "horvitz_thompson" for each in equal.tolist()]
    return Intervals(rate, np.maximum(0.0, centre - half), np.minimum(1.0, centre + half), method)


def anchored_rate(labelled: Sums, everything: Sums, confidence: float = 0.95) -> Interval:
    """The share that people would pass, from few labels and a prediction for every row: PPI++.

    `labelled` sums over the rows that people judged, `everything` over all rows with a prediction
    (its y is not read). The estimate is mean(f) over everything plus mean(y - f) over the labels,
    with f scaled by the factor that makes the variance smallest (Angelopoulos, Duchi & Zrnic 2023,
    arXiv 2311.01453; for a sample within its population this is the regression estimator of
    double sampling, Cochran 1977, ch. 12). Its interval is Wilson's at the size of a simple random
    sample of the same variance, by Student's quantile. Labels alone speak where there are fewer
    than FEW failures or passes among them (effectively: one with a large weight counts for less),
    where the prediction says nothing, and where the interval would be the wider one.

    It is a rate of calls like these: that of the very calls of a night lies in it more often.
    """
    alone = weighted_rate(labelled, confidence)
    if everything.w <= 0 or min(_effective(labelled)) < FEW:
        return alone
    mean_y, mean_f = labelled.wy / labelled.w, labelled.wf / labelled.w
    # Half a row of each outcome at either of two predictions: a variance seen to be small among few
    # labels is not as small as it seems (Agresti & Min 2005 do so with pairs of outcomes).
    row = labelled.w2 / labelled.n
    yy = labelled.w2_y * (1 - 2 * mean_y) + mean_y**2 * labelled.w2
    yy += row * (mean_y**2 + (1 - mean_y) ** 2)
    ff = labelled.w2_ff - 2 * mean_f * labelled.w2_f + mean_f**2 * labelled.w2
    ff *= 1 + 2 / labelled.n
    yf = (
        labelled.w2_yf
        - mean_f * labelled.w2_y
        - mean_y * labelled.w2_f
        + mean_y * mean_f * labelled.w2
    )
    if ff <= 1e-12 * labelled.w2 or yf <= 0:
        return alone
    power = yf / ff
    rest = max(0.0, yy - power * yf)  # of y - power * f
    size = labelled.w**2 / labelled.w2
    # Labels are part of everything: what they know of f is known already.
    share = min(1.0, size / (everything.w**2 / everything.w2))
    variance = (share * yy + (1 - share) * rest) / labelled.w**2
    variance *= size / max(1.0, size - 2)  # two means and the power were estimated
    variance *= labelled.n / (labelled.n + 2)  # the rows added are rows
    estimate = mean_y + power * (everything.wf / everything.w - mean_f)
    if not 0 < estimate < 1:
        return alone
    quantile = _t_quantile(confidence, round(max(1.0, size - 2)))
    low, high = _score_interval(estimate, estimate * (1 - estimate) / variance, quantile)
    if high - low > alone.high - alone.low:
        return alone
    return Interval(estimate, low, high, "ppi++")


def _effective(labelled: Sums) -> tuple[float, float]:
    """How many labelled failures and passes of equal weight would tell as much (Kish 1965)."""
    w, w2 = labelled.w - labelled.wy, labelled.w2 - labelled.w2_y
    # Sums of rows that are not there are zero but for rounding.
    failures = w * w / w2 if w2 > 1e-9 * labelled.w2 else 0.0
    passes = labelled.wy**2 / labelled.w2_y if labelled.w2_y > 0 else 0.0
    return failures + 1e-9, passes + 1e-9


@cache
def _normal_quantile(confidence: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + confidence / 2)


@cache
def _t_quantile(confidence: float, degrees: int) -> float:
    from scipy.special import stdtrit  # scipy.stats takes seconds to import

    return float(stdtrit(degrees, 0.5 + confidence / 2))
