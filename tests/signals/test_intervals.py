"""Intervals against libraries that are not ours, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from llmops_jobs.signals import intervals


@pytest.mark.parametrize("method", ["wilson", "jeffreys"])
def test_rates_have_the_intervals_of_statsmodels(method: str) -> None:
    n = np.repeat([1, 2, 7, 40, 1000, 250_000], 5)
    k = np.floor(n * np.tile([0, 0.01, 0.3, 0.9, 1.0], 6))
    low, high = getattr(intervals, method)(k, n)
    expected = proportion_confint(k, n, method=method)
    inside = (k > 0) & (k < n)
    np.testing.assert_allclose(low[inside], expected[0][inside], atol=1e-12)
    np.testing.assert_allclose(high[inside], expected[1][inside], atol=1e-12)
    assert (low[k == 0] == 0).all()
    assert (high[k == n] == 1).all()


def test_a_rate_of_nothing_has_no_interval() -> None:
    for method in (intervals.wilson, intervals.jeffreys):
        low, high = method(0, 0)
        assert np.isnan(low)
        assert np.isnan(high)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_order_statistics_cover_a_quantile_with_the_exact_binomial_probability(q: float) -> None:
    n = np.array([1, 5, 20, 59, 60, 300, 4000])
    low, high = intervals.quantile_ranks(n, q)
    covered = stats.binom.cdf(high - 1, n, q) - stats.binom.cdf(low - 1, n, q)
    assert (covered >= 0.95).all()
    # One rank less on a bounded side would leave more than the tail outside.
    assert (stats.binom.cdf(low, n, q) >= 0.025)[low > 0].all()
    bounded = high <= n
    assert (stats.binom.sf(high - 3, n, q) >= 0.025)[bounded].all()


def test_few_values_cannot_bound_a_high_percentile_from_above() -> None:
    low, high = intervals.quantile_ranks(np.array([50, 100, 400]), 0.99)
    assert (high > np.array([50, 100, 400])).tolist() == [True, True, False]
    assert low[0] > 0


def test_ratios_are_covered_where_units_are_many_and_where_they_are_few() -> None:
    generator = np.random.default_rng(7)
    for n, rate in ((2_000, 0.9), (300, 0.04)):
        cost = generator.lognormal(-5, 1, (2_000, n))
        unit = generator.random((2_000, n)) < rate
        low, high = intervals.ratio(
            cost.sum(1),
            unit.sum(1),
            n,
            (cost**2).sum(1),
            unit.sum(1),
            (cost * unit).sum(1),
        )
        truth = np.exp(-5 + 0.5) / rate
        covered = (low <= truth) & ((truth <= high) | np.isnan(high)) & (unit.sum(1) > 0)
        assert 0.92 < covered.mean() < 0.98


def test_a_ratio_with_two_few_units_only_says_at_least() -> None:
    low, high = intervals.ratio(10.0, 1.0, 200, 2.0, 1.0, 0.05)
    assert 0 < low < 10
    assert np.isnan(high)
    assert np.isnan(intervals.ratio(1.0, 0.0, 10, 1.0, 0.0, 0.0)[0])
