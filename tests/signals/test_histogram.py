"""Histograms: within their error whatever the shape, however the rows are split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_jobs.signals import histogram

GAMMA = histogram.gamma(0.01)
LEVELS = (0.0, 0.5, 0.9, 0.99, 1.0)


def counted(values: np.ndarray, **columns: object) -> pd.DataFrame:
    buckets, n = np.unique(histogram.bucket(values, GAMMA), return_counts=True)
    return pd.DataFrame({"bucket": buckets, "n": n, "gamma": GAMMA, **columns})


def shapes() -> list[np.ndarray]:
    """A thousand shapes: smooth, heavy-tailed, in steps, of one value, in two heaps, with zeros
    and below zero, of any size."""
    generator = np.random.default_rng(20)
    found = []
    for number in range(1_000):
        n = int(np.exp(generator.uniform(0, np.log(5_000))))
        scale = 10.0 ** generator.uniform(-9, 12)
        values = {
            0: lambda n=n: generator.lognormal(0, generator.uniform(0.1, 4), n),
            1: lambda n=n: generator.pareto(generator.uniform(0.3, 3), n),
            2: lambda n=n: generator.exponential(1, n),
            3: lambda n=n: generator.uniform(0, 1, n) * (generator.random(n) > 0.5),
            4: lambda n=n: generator.normal(0, 1, n),
            5: lambda n=n: -generator.lognormal(0, 2, n),
            6: lambda n=n: generator.integers(0, 4, n).astype(float),
            7: lambda n=n: np.concatenate([generator.gamma(2, 1, n), [1e9]]),
            8: lambda n=n: np.full(n, generator.choice([0.0, 1.0, 1e-3, generator.random()])),
            9: lambda n=n: generator.normal(np.where(generator.random(n) < 0.9, 1, 1e4), 0.1),
        }[number % 10]()
        found.append(values * scale)
    return found


def test_merged_histograms_are_within_one_percent_for_a_thousand_shapes() -> None:
    generator = np.random.default_rng(21)
    every = shapes()
    parts = [
        counted(part, shape=number)
        for number, values in enumerate(every)
        for part in np.array_split(generator.permutation(values), generator.integers(1, 8))
    ]
    found = histogram.quantiles(pd.concat(parts), LEVELS, by=["shape"]).set_index("shape")
    for number, values in enumerate(every):
        low, high = (np.quantile(values, LEVELS, method=m) for m in ("lower", "higher"))
        # Interpolated between two values of either sign: 1 % of the larger is what holds.
        allowed = 0.01 * np.maximum(np.abs(low), np.abs(high)) * (1 + 1e-9) + histogram.SMALLEST
        got = found.loc[number, ["p0", "p50", "p90", "p99", "p100"]].to_numpy(float)
        assert (np.abs(got - np.quantile(values, LEVELS)) <= allowed).all()


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(-1e300, 1e300, allow_nan=False), min_size=1, max_size=60),
    st.floats(0.001, 0.1),
)
def test_order_of_buckets_is_order_of_values(values: list[float], error: float) -> None:
    base = histogram.gamma(error)
    ordered = np.sort(np.array(values))
    buckets = histogram.bucket(ordered, base)
    assert (np.diff(buckets) >= 0).all()
    assert (np.abs(buckets) < 2**31).all()
    low, high = histogram.bounds(buckets, base)
    slack = 1e-9 * np.abs(ordered) + histogram.SMALLEST
    assert (low - slack <= ordered).all()
    assert (ordered <= high + slack).all()


def test_quantiles_of_groups_are_those_of_each_group_alone() -> None:
    generator = np.random.default_rng(3)
    frames = [
        counted(generator.lognormal(mean, 1, size), model=f"m{mean}")
        for mean, size in ((0, 500), (3, 7), (1, 1))
    ]
    together = histogram.quantiles(pd.concat(frames), by=["model"])
    for frame in frames:
        alone = histogram.quantiles(frame)
        row = together[together["model"] == frame["model"].iloc[0]]
        pd.testing.assert_frame_equal(
            row.drop(columns="model").reset_index(drop=True), alone, check_names=False
        )


def test_the_interval_holds_the_true_quantile_at_least_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    truth = np.exp(1.2815515655446004)  # of a standard log-normal, at 0.9
    samples = [counted(generator.lognormal(0, 1, 200), run=run) for run in range(1_000)]
    found = histogram.quantiles(pd.concat(samples), [0.9], by=["run"])
    covered = (found["p90_low"] <= truth) & (truth <= found["p90_high"])
    assert 0.95 <= covered.mean() <= 0.99


def test_the_interval_of_all_rows_encloses_their_quantile() -> None:
    frame = counted(np.random.default_rng(9).lognormal(0, 1, 500))
    low, high = histogram.interval(frame, 0.9)
    assert low < histogram.quantile(frame, 0.9) < high
    assert np.isnan(histogram.interval(frame.iloc[:3], 0.999)[1])
    assert np.isnan(histogram.interval(frame.iloc[:0], 0.5)).all()


def test_histograms_of_different_errors_can_be_merged() -> None:
    values = np.random.default_rng(1).lognormal(0, 1, 2_000)
    coarse = histogram.gamma(0.05)
    buckets, n = np.unique(histogram.bucket(values[:1_000], coarse), return_counts=True)
    merged = pd.concat(
        [pd.DataFrame({"bucket": buckets, "n": n, "gamma": coarse}), counted(values[1_000:])]
    )
    assert histogram.quantile(merged, 0.9) == pytest.approx(np.quantile(values, 0.9), rel=0.06)


def test_nothing_has_no_quantile() -> None:
    empty = counted(np.array([])).astype({"n": int})
    assert np.isnan(histogram.quantile(empty, 0.5))
    assert histogram.quantiles(empty, by=["gamma"]).empty


def test_attainment_of_a_threshold_is_a_share() -> None:
    frame = counted(np.array([0.1, 0.2, 0.5, 3.0]))
    assert histogram.share_at_most(frame, 1.0) == 0.75
