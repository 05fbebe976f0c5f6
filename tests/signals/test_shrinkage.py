"""Empirical-Bayes shrinkage: nearer to the truth than the raw rates, and never wild."""

from __future__ import annotations

import numpy as np

from llmops_jobs.signals.shrinkage import shrink


def test_shrunk_rates_are_nearer_to_the_truth() -> None:
    generator = np.random.default_rng(2)
    for strength in (5, 30, 200):
        truth = generator.beta(0.8 * strength, 0.2 * strength, 400)
        n = generator.integers(1, 60, 400)
        k = generator.binomial(n, truth)
        raw = ((k / n - truth) ** 2).mean()
        shrunk = ((shrink(k, n) - truth) ** 2).mean()
        pooled = ((k.sum() / n.sum() - truth) ** 2).mean()
        assert shrunk < raw
        assert shrunk < 1.05 * pooled


def test_large_cells_keep_their_rate_and_cells_without_votes_get_the_pooled_one() -> None:
    found = shrink([900, 100, 0], [1000, 1000, 0], least_weight=20)
    np.testing.assert_allclose(found, [0.9, 0.1, 0.5], atol=0.01)


def test_cells_that_differ_only_by_chance_become_one() -> None:
    found = shrink([5, 6, 4], [10, 10, 10])
    assert np.ptp(found) < 0.06


def test_ends_and_nothing() -> None:
    np.testing.assert_array_equal(shrink([3, 2], [3, 2]), [1.0, 1.0])
    np.testing.assert_allclose(shrink([1, 0], [1, 1]), [2 / 3, 1 / 3])
    assert np.isnan(shrink([0, 0], [0, 0])).all()
