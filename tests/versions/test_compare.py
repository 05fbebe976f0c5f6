"""Comparing versions: right on average, valid on every morning, honest about mix and users."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmops_jobs.versions.estimate import Arms, Difference, difference
from llmops_jobs.versions.sequence import e_benjamini_hochberg, radius
from llmops_jobs.versions.verdict import Measure, judge

PASS = Measure("pass", higher_is_better=True, margin=0.02)


def _calls(
    rng: np.random.Generator, n: int, effect: float = 0.0, users: int = 200, user_spread: float = 0
) -> pd.DataFrame:
    user = rng.integers(0, users, n)
    arm = rng.integers(0, 2, n)
    feature = rng.choice(["a", "b"], n)
    level = np.where(feature == "a", 0.9, 0.6) + rng.normal(0, user_spread, users)[user]
    passed = rng.random(n) < np.clip(level + effect * arm, 0, 1)
    return pd.DataFrame(
        {
            "arm": arm,
            "stratum": feature,
            "cluster": user,
            "pass": passed.astype(float),
        }
    )


def _difference(calls: pd.DataFrame) -> Difference | None:
    arms = Arms.of(calls["arm"], calls["stratum"], calls["cluster"])
    return difference(arms, calls["pass"].to_numpy())


def test_a_change_of_mix_is_not_a_change_of_quality() -> None:
    rng = np.random.default_rng(1)
    calls = _calls(rng, 20_000)
    # The candidate gets mostly the hard feature: its raw pass rate drops, its quality does not.
    kept = (calls["arm"] == 0) | (calls["stratum"] == "b") | (rng.random(len(calls)) < 0.1)
    mixed = calls[kept]
    raw = mixed.groupby("arm")["pass"].mean()
    assert raw[1] - raw[0] < -0.1
    found = _difference(mixed)
    assert found is not None
    assert abs(found.difference) < 3 * found.standard_error
    assert judge(PASS, found).verdict in ("same", "not_enough_data")


def test_a_real_loss_is_called_worse() -> None:
    found = _difference(_calls(np.random.default_rng(2), 8_000, effect=-0.08))
    assert found is not None
    judged = judge(PASS, found)
    assert judged.verdict == "worse"
    assert judged.low < -0.08 < judged.high


def test_little_data_says_how_much_more_is_needed() -> None:
    found = _difference(_calls(np.random.default_rng(3), 150, effect=-0.05))
    assert found is not None
    judged = judge(PASS, found)
    assert judged.verdict == "not_enough_data"
    assert judged.needed is not None
    assert judged.needed > 500


def test_calls_of_one_user_do_not_count_as_independent() -> None:
    calls = _calls(np.random.default_rng(4), 4_000, users=20, user_spread=0.2)
    # Every user sees one version only, as a rollout by user does.
    calls["arm"] = calls["cluster"] % 2
    found = _difference(calls)
    assert found is not None
    naive = np.sqrt(
        sum(calls[calls["arm"] == a]["pass"].var() / (calls["arm"] == a).sum() for a in (0, 1))
    )
    assert found.standard_error > 2 * naive


def test_looking_every_morning_raises_few_false_alarms() -> None:
    rng = np.random.default_rng(5)
    alarms = fixed_alarms = 0
    months = 150
    for _ in range(months):
        x = rng.normal(0, 1, (30, 40))
        arm = rng.integers(0, 2, (30, 40))
        alarm = fixed = False
        for morning in range(1, 31):
            seen, side = x[:morning].ravel(), arm[:morning].ravel()
            a, b = seen[side == 0], seen[side == 1]
            error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
            gap = abs(b.mean() - a.mean())
            alarm |= gap > radius(error, len(seen))
            fixed |= gap > 1.96 * error
        alarms += alarm
        fixed_alarms += fixed
    assert alarms / months <= 0.05
    assert fixed_alarms / months > 0.15


def test_arms_that_share_no_stratum_are_not_compared() -> None:
    calls = _calls(np.random.default_rng(6), 100)
    calls["stratum"] = np.where(calls["arm"] == 1, "x", "y")
    assert _difference(calls) is None


def test_one_strong_slice_stands_among_many() -> None:
    assert e_benjamini_hochberg([1.0] * 99 + [5000.0], 0.1) == [False] * 99 + [True]
    assert e_benjamini_hochberg([1.0] * 99 + [20.0], 0.1) == [False] * 100
