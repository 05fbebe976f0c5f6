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
    return (hits + _weight(hits, trials, mean, least_weight) * mean) / (
        trials + _weight(hits, trials, mean, least_weight)
    )


def _weight(hits: Floats, trials: Floats, mean: float, least: float) -> float:
    """The prior's weight: mean (1 - mean) / variance between cells - 1."""
    used = trials > 0
    x, size = hits[used], trials[used]
    spread = size.sum() - (size**2).sum() / size.sum()
    noise = mean * (1 - mean)
    if len(size) < 2 or noise == 0 or spread <= 0:
        return max(least, float(size.sum()))
    between = ((size * (x / size - mean) ** 2).sum() - (len(size) - 1) * noise) / (
        spread - (len(size) - 1)
    )
    if between <= 0 or spread <= len(size) - 1:
        return max(least, float(size.sum()))
    return max(least, noise / between - 1)
