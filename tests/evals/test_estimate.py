from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from llmops_jobs.evals.estimate import (
    FEW,
    Sums,
    anchored_rate,
    weighted_rate,
    weighted_rates,
    wilson,
)


def sums(w: np.ndarray, y: np.ndarray, f: np.ndarray | None = None) -> Sums:
    f = np.zeros(len(y)) if f is None else f
    v = w * w
    parts = (w, w * y, w * f, v, v * y, v * f, v * y * f, v * f * f)
    return Sums(len(y), *(float(part.sum()) for part in parts))


def test_wilson_is_the_textbook_interval() -> None:
    for passed, n in ((0, 10), (7, 10), (10, 10), (433, 500)):
        low, high = proportion_confint(passed, n, method="wilson")
        assert wilson(passed / n, n) == pytest.approx((max(low, 0), min(high, 1)))


def test_equal_weights_give_wilson_and_no_rows_give_no_number() -> None:
    y = np.array([1.0] * 45 + [0.0] * 5)
    found = weighted_rate(sums(np.full(50, 3.0), y))
    assert found.method == "wilson"
    assert (found.low, found.high) == pytest.approx(wilson(0.9, 50))
    assert np.isnan(weighted_rate(Sums()).estimate)


def test_an_over_sampled_stratum_is_weighed_back() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        y = np.r_[rng.random(9000) < 0.95, rng.random(1000) < 0.4].astype(float)
        p = np.r_[np.full(9000, 0.02), np.full(1000, 0.2)]
        drawn = rng.random(10_000) < p
        found = weighted_rate(sums(1 / p[drawn], y[drawn]))
        inside.append(found.low <= 0.895 <= found.high)
        assert found.method == "horvitz_thompson"
    assert 0.93 <= np.mean(inside) <= 0.98


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "labels"),
    [(0.9, 0.92, 0.70, 400), (0.7, 0.9, 0.85, 200), (0.8, 0.8, 0.8, 120)],
)
def test_the_anchored_rate_covers_the_truth_and_is_narrower_than_labels_alone(
    rate: float, sensitivity: float, specificity: float, labels: int
) -> None:
    rng = np.random.default_rng(2)
    covered, naive, widths = [], [], []
    for _ in range(600):
        y = (rng.random(4000) < rate).astype(float)
        f = np.where(y == 1, rng.random(4000) < sensitivity, rng.random(4000) >= specificity)
        f = f.astype(float)
        labelled = sums(np.full(labels, 4000 / labels), y[:labels], f[:labels])
        found = anchored_rate(labelled, sums(np.ones(4000), f, f))
        alone = weighted_rate(labelled)
        covered.append(found.low <= rate <= found.high)
        naive.append(abs(f.mean() - rate) < 1.96 * f.std() / 4000**0.5)
        widths.append((found.high - found.low) / (alone.high - alone.low))
    assert 0.93 <= np.mean(covered) <= 0.975
    assert np.mean(naive) < 0.2  # what the scorer alone would have claimed
    assert np.mean(widths) < 0.95 and max(widths) <= 1


def test_a_useless_or_missing_prediction_leaves_the_labels_alone() -> None:
    y = np.array([1.0] * 80 + [0.0] * 20)
    constant = anchored_rate(sums(np.ones(100), y, np.ones(100)), sums(np.ones(9), np.ones(9)))
    opposed = anchored_rate(sums(np.ones(100), y, 1 - y), sums(np.ones(900), np.ones(900)))
    nothing = anchored_rate(sums(np.ones(100), y, y), Sums())
    for found in (constant, opposed, nothing):
        assert found.method == "wilson"
        assert (found.low, found.high) == pytest.approx(wilson(0.8, 100))


def test_few_labelled_failures_fall_back_to_wilson() -> None:
    y = np.array([1.0] * 60 + [0.0] * (FEW - 1))
    everything = sums(np.ones(900), np.ones(900), np.r_[np.ones(800), np.zeros(100)])
    assert anchored_rate(sums(np.ones(len(y)), y, y), everything).method == "wilson"
    y = np.array([1.0] * 60 + [0.0] * FEW)
    f = np.where(np.arange(len(y)) % 7 == 0, 1 - y, y)
    assert anchored_rate(sums(np.ones(len(y)), y, f), everything).method == "ppi++"


def test_a_week_is_the_sum_of_its_days() -> None:
    rng = np.random.default_rng(3)
    w, y, f = 1 + rng.random(90), (rng.random(90) < 0.7).astype(float), rng.random(90)
    days = [sums(w[i::3], y[i::3], f[i::3]) for i in range(3)]
    whole = anchored_rate(sums(w, y, f), sums(w, y, f))
    added = anchored_rate(days[0] + days[1] + days[2], days[0] + days[1] + days[2])
    assert added.estimate == pytest.approx(whole.estimate)
    assert (added.low, added.high) == pytest.approx((whole.low, whole.high))


@given(st.lists(st.tuples(st.floats(0.05, 1), st.booleans()), min_size=1, max_size=40))
def test_many_rates_at_once_are_each_as_if_alone(rows: list[tuple[float, bool]]) -> None:
    w = np.array([1 / p for p, _ in rows])
    y = np.array([float(passed) for _, passed in rows])
    sums = Sums(n=len(rows), w=w.sum(), wy=(w * y).sum(), w2=(w * w).sum(), w2_y=(w * w * y).sum())
    alone = weighted_rate(sums)
    many = weighted_rates(
        *(np.array([v, v]) for v in (sums.n, sums.w, sums.wy, sums.w2, sums.w2_y))
    )
    for i in (0, 1):
        assert many.method[i] == alone.method
        found = (many.estimate[i], many.low[i], many.high[i])
        assert found == pytest.approx((alone.estimate, alone.low, alone.high), abs=1e-12)


@pytest.mark.parametrize("labels", [20, 50, 100])
@pytest.mark.parametrize("judge", ["good", "useless", "opposed", "constant"])
def test_whatever_the_judge_the_interval_is_never_wider_than_that_of_the_labels_and_covers(
    judge: str, labels: int
) -> None:
    rng = np.random.default_rng(labels)
    inside = []
    for _ in range(400):
        y = (rng.random(1000) < 0.6).astype(float)
        u = rng.random(1000)
        f = {
            "good": np.where(y == 1, u < 0.95, u < 0.1),
            "useless": u < 0.8,
            "opposed": np.where(y == 1, u < 0.2, u < 0.9),
            "constant": u < 2,
        }[judge].astype(float)
        labelled = sums(np.full(labels, 1000 / labels), y[:labels], f[:labels])
        found = anchored_rate(labelled, sums(np.ones(1000), f, f))
        alone = weighted_rate(labelled)
        assert found.high - found.low <= alone.high - alone.low
        inside.append(found.low <= 0.6 <= found.high)
    assert 0.92 <= np.mean(inside) <= 0.99  # 95 %, within the error of 400 nights


def test_failures_that_were_drawn_for_certain_do_not_pass_for_many() -> None:
    """Thirty failures that stand for themselves beside one that stands for forty."""
    y = np.r_[np.ones(100), np.zeros(31)]
    w = np.r_[np.full(100, 40.0), np.ones(30), 40.0]
    f = np.r_[np.ones(100), np.zeros(30), 1.0]
    everything = sums(np.ones(4000), np.ones(4000), np.r_[np.ones(3900), np.zeros(100)])
    assert anchored_rate(sums(w, y, f), everything).method == "horvitz_thompson"
