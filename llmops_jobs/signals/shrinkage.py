"""Empirical-Bayes shrinkage of the rates of small cells towards the rate of all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from llmops_jobs.signals.intervals import Floats


def shrink(k: ArrayLike, n: ArrayLike, least_weight: float = 0.0) -> Floats:
    """Posterior means of the rates k / n under one Beta prior for all cells.

    The prior's mean is the pooled rate; its weight, in votes, comes from the variance between
    cells by the method of moments (Kleinman 1973), and is at least `least_weight`: a few small
    cells cannot show how different cells are. Cells without votes get the prior's mean.
    """
    hits, trials = np.asarray(k, float), np.asarray(n, float)
    total = trials.sum()
    if total == 0:
        return np.full(trials.shape, np.nan)
    mean = hits.sum() / total
    weight = _weight(hits[trials > 0], trials[trials > 0], mean, least_weight)
    return (hits + weight * mean) / (trials + weight)


def _weight(hits: Floats, trials: Floats, mean: float, least: float) -> float:
    """1 / rho - 1, where rho is the correlation of two votes of one cell; all votes' own weight
    where cells differ no more than chance makes them."""
    cells, total, noise = len(trials), trials.sum(), mean * (1 - mean)
    spread = total - (trials**2).sum() / total
    if noise > 0 and spread > cells - 1:
        found = (trials * (hits / trials - mean) ** 2).sum() / noise
        correlation = (found - (cells - 1)) / (spread - (cells - 1))
        if correlation > 0:
            return max(least, 1 / min(correlation, 1.0) - 1)
    return max(least, float(total))
