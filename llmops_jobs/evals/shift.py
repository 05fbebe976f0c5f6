"""Tests of whether two samples differ: shares, histograms, texts. Each gives a p-value.

Weighted samples enter at their effective size (Kish: squared sum of weights over sum of squares).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_MANY = 100  # events on the smaller side from which the normal distribution's tail will do


@dataclass(frozen=True, slots=True)
class Shift:
    statistic: float
    p_value: float
    before: float
    after: float


@dataclass(frozen=True)
class Finding:
    """One test of a night: a row of `drift`."""

    kind: str
    subject: str
    shift: Shift
    detail: str


def share_shift(before: float, n_before: float, after: float, n_after: float) -> Shift | None:
    """Two shares with (effective) sizes: Fisher's exact test, of many events the z-test with pooled
    variance; None when there is nothing to test (no rows, or all equal)."""
    if n_before < 1 or n_after < 1:
        return None
    pooled = (before * n_before + after * n_after) / (n_before + n_after)
    variance = pooled * (1 - pooled) * (1 / n_before + 1 / n_after)
    if variance <= 0:
        return None
    z = (after - before) / math.sqrt(variance)
    # Few events make the normal tail too light (tenfold at four deviations of six events): exact by
    # conditioning on their number.
    if min(pooled, 1 - pooled) * min(n_before, n_after) < _MANY:
        from scipy.stats import fisher_exact

        a, b = round(after * n_after), round(before * n_before)
        table = [[a, round(n_after) - a], [b, round(n_before) - b]]
        return Shift(z, float(fisher_exact(table).pvalue), before, after)
    return Shift(z, math.erfc(abs(z) / math.sqrt(2)), before, after)


def histogram_shift(
    before: Mapping[int, float], n_before: float, after: Mapping[int, float], n_after: float
) -> tuple[float, float] | None:
    """Two histograms of weights: (population stability index, p by chi-squared homogeneity).

    The index without n says nothing (its mean under no change is about 2 (k - 1) / n), hence the
    test. Neighbouring buckets are merged until each expects five rows on both sides.
    """
    from scipy.stats import chi2

    total_before, total_after = sum(before.values()), sum(after.values())
    if total_before <= 0 or total_after <= 0 or min(n_before, n_after) < 20:
        return None
    merged: list[tuple[float, float]] = []
    b = a = 0.0
    for bucket in sorted(set(before) | set(after)):
        b += before.get(bucket, 0.0) / total_before
        a += after.get(bucket, 0.0) / total_after
        pooled = (b * n_before + a * n_after) / (n_before + n_after)
        if pooled * min(n_before, n_after) >= 5:
            merged.append((b, a))
            b = a = 0.0
    if merged and (a or b):
        merged[-1] = (merged[-1][0] + b, merged[-1][1] + a)
    if len(merged) < 2:
        return None
    statistic = psi = 0.0
    for b, a in merged:
        pooled = (b * n_before + a * n_after) / (n_before + n_after)
        statistic += (b - a) ** 2 / (pooled * (1 / n_before + 1 / n_after))
        psi += (a - b) * math.log(max(a, 1e-6) / max(b, 1e-6))
    return psi, float(chi2.sf(statistic, len(merged) - 1))


def text_shift(
    before: Sequence[str], after: Sequence[str], seed: int
) -> tuple[float, float] | None:
    """A classifier two-sample test (Lopez-Paz & Oquab 2017): (AUC, p), None with too few texts.

    One classifier is trained on one half to tell the samples apart and tried on the other half
    once; cross-validated AUCs are not independent and raise 17 % false alarms at 5 %. Equal sizes
    are drawn; texts that occur in both halves stay in the half they were drawn into.
    """
    from scipy.stats import mannwhitneyu
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.naive_bayes import ComplementNB

    size = min(len(before), len(after))
    if size < 60:
        return None
    rng = np.random.default_rng(seed)
    half = size // 2
    old = rng.permutation(len(before))[: 2 * half]
    new = rng.permutation(len(after))[: 2 * half]
    vectorizer = HashingVectorizer(
        n_features=1 << 14, ngram_range=(1, 2), alternate_sign=False, binary=True, norm="l2"
    )
    train = vectorizer.transform([before[i] for i in old[:half]] + [after[i] for i in new[:half]])
    test = vectorizer.transform([before[i] for i in old[half:]] + [after[i] for i in new[half:]])
    labels = np.r_[np.zeros(half), np.ones(half)]
    scores = ComplementNB().fit(train, labels).predict_proba(test)[:, 1]
    found = mannwhitneyu(scores[half:], scores[:half], alternative="greater", method="asymptotic")
    return float(found.statistic) / half**2, float(found.pvalue)


def false_discovery(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg adjusted p-values (1995)."""
    if not len(p_values):
        return []
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(np.clip(p_values, 0, 1))]
