"""Confidence intervals that every signal uses; vectorised, 95 % two-sided unless asked otherwise.

Rates: Wilson (1927) and Jeffreys, both right for small samples and rates near 0 or 1 (Brown, Cai &
DasGupta 2001). Quantiles: the distribution-free interval between two order statistics. Ratios of
sums: Fieller's theorem over independent clusters.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Interval = tuple[Floats, Floats]


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a rate with `k` successes of `n`; NaN where n is 0."""
    hits, trials = np.asarray(k, float), np.asarray(n, float)
    z = _z(confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = hits / trials
        shrink = 1 + z**2 / trials
        middle = (rate + z**2 / (2 * trials)) / shrink
        half = z / shrink * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
        low, high = middle - half, middle + half
    # At the ends the formula gives exactly 0 and 1 but for rounding.
    low = np.where(hits <= 0, 0.0, low)
    high = np.where(hits >= trials, 1.0, high)
    missing = trials <= 0
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def jeffreys(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Interval:
    """The equal-tailed interval of Beta(k + 1/2, n - k + 1/2); 0 at k = 0, 1 at k = n; NaN at
    n = 0."""
    from scipy.special import betaincinv

    hits, trials = np.asarray(k, float), np.asarray(n, float)
    tail = (1 - confidence) / 2
    safe = np.where(trials > 0, trials, 1.0)
    low = betaincinv(hits + 0.5, safe - hits + 0.5, tail)
    high = betaincinv(hits + 0.5, safe - hits + 0.5, 1 - tail)
    low = np.where(hits <= 0, 0.0, low)
    high = np.where(hits >= trials, 1.0, high)
    missing = trials <= 0
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def quantile_ranks(
    n: ArrayLike, q: float, confidence: float = 0.95
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ranks l, u (1-based) whose order statistics enclose the q-quantile with the confidence.

    P(l <= B < u) >= confidence for B ~ Binomial(n, q), whatever the distribution (David & Nagaraja,
    Order Statistics, 7.1). l = 0 or u = n + 1 means that n values cannot bound that side.
    """
    size = np.asarray(n, np.int64)
    tail = (1 - confidence) / 2
    low = _binomial_quantile(tail, size, q)
    high = _binomial_quantile(1 - tail, size, q) + 1
    return low, np.minimum(high, size + 1)


def _binomial_quantile(level: float, n: NDArray[np.int64], p: float) -> NDArray[np.int64]:
    """The smallest k with P(B <= k) >= level."""
    from scipy.special import bdtr, bdtrik

    sizes, where = np.unique(n, return_inverse=True)
    guess = np.ceil(np.nan_to_num(bdtrik(level, np.maximum(sizes, 1), p)))
    guess = np.clip(guess, 0, sizes)
    below = np.maximum(guess - 1, 0)
    exact = np.where(bdtr(below, sizes, p) >= level, below, guess)
    return exact.astype(np.int64)[where].reshape(n.shape)


def ratio(
    total: ArrayLike,
    units: ArrayLike,
    n: ArrayLike,
    total_squared: ArrayLike,
    units_squared: ArrayLike,
    product: ArrayLike,
    confidence: float = 0.95,
) -> Interval:
    """The interval of sum(c) / sum(u) over `n` independent clusters, by Fieller's theorem.

    Arguments are sums over the clusters: of c, of u, their number, of c^2, of u^2 and of c * u.
    The set {r: (sum c - r sum u)^2 <= z^2 Var(sum c - r sum u)} (Fieller 1954); unlike the delta
    method it is right when the units are few, and its upper end is then infinite (NaN here). NaN
    too where there are fewer than two clusters.
    """
    c, u, m = (np.asarray(x, float) for x in (total, units, n))
    z = _z(confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = m / (m - 1)
        var_c = np.maximum(np.asarray(total_squared, float) - c**2 / m, 0) * scale
        var_u = np.maximum(np.asarray(units_squared, float) - u**2 / m, 0) * scale
        cov = (np.asarray(product, float) - c * u / m) * scale
        a = u**2 - z**2 * var_u
        b = c * u - z**2 * cov
        discriminant = b**2 - a * (c**2 - z**2 * var_c)
        root = np.sqrt(np.maximum(discriminant, 0))
        bounded = a > 0
        low = np.where(bounded, (b - root) / a, np.nan)
        high = np.where(bounded, (b + root) / a, np.nan)
        # With too few units only "at least" can be said: the lower root of the same parabola.
        least = np.where(discriminant > 0, (c**2 - z**2 * var_c) / (b + root), 0.0)
        low = np.where(bounded, low, least)
    usable = (m > 1) & (u > 0)
    return np.where(usable, np.maximum(low, 0), np.nan), np.where(usable, high, np.nan)
