"""Which calls the judge sees: who is always in, and that every kind of call gets its share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.evals.judge.choose import choose_calls

N = 400


def population() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trace_id": [f"t{i}" for i in range(N)],
            "observation_id": "o",
            "inclusion_probability": 0.5,
            "feature": [("chat", "mail")[i % 2] for i in range(N)],
            "prompt_name": "p",
            "prompt_version": [str(1 + i // 2 % 2) for i in range(N)],
        }
    )


def scores(failing: range) -> pd.DataFrame:
    rows = [(f"t{i}", "o", "empty", 1.0, False) for i in failing]
    names = ["trace_id", "observation_id", "scorer", "value", "passed"]
    return pd.DataFrame(rows, columns=names).astype({"passed": "boolean"})


def test_labelled_and_voted_down_calls_are_judged_for_certain() -> None:
    votes = {"t1": False, "t2": True, "t3": False}
    for seed in range(10):
        chosen = choose_calls(population(), scores(range(0)), {"t9"}, votes, 40, seed)
        assert len(chosen) == 40 and chosen[[1, 3, 9]].tolist() == [1.0] * 3
        assert set(chosen.index[:3]) == {1, 3, 9}  # before the budget can end


def test_so_many_votes_against_that_they_would_fill_the_night_are_drawn_like_others() -> None:
    votes = {f"t{i}": False for i in range(100)}
    chosen = choose_calls(population(), scores(range(0)), {"t9"}, votes, 40, 1)
    assert len(chosen) == 40 and (chosen == 1).sum() == 1
    assert 8 <= (chosen.index < 100).sum() <= 12  # a stratum of a quarter of the calls


@pytest.mark.parametrize("column", ["feature", "prompt_version"])
def test_every_feature_and_prompt_version_gets_its_share_and_weights_undo_the_rest(
    column: str,
) -> None:
    calls = population()
    for seed in range(10):
        chosen = choose_calls(calls, scores(range(300, N)), set(), {}, 80, seed)
        parts = calls.loc[chosen.index, column].value_counts()
        assert parts.max() - parts.min() <= 6
        failing = chosen.index >= 300
        assert failing.mean() > 0.25  # what a cheap scorer fails is looked at more often
        weights = 1 / chosen.to_numpy()
        assert abs(weights[failing].sum() - 100) <= 8 and abs(weights.sum() - N) <= 20


def test_the_quality_model_says_where_the_doubt_is() -> None:
    chance = np.where(np.arange(N) < 100, 0.5, 0.99)
    rows = pd.DataFrame(
        {
            "trace_id": [f"t{i}" for i in range(N)],
            "observation_id": "o",
            "scorer": "quality_model:correct",
            "value": chance,
            "passed": pd.array(chance >= 0.5, "boolean"),
        }
    )
    chosen = choose_calls(population(), rows, set(), {}, 80, 3)
    assert (chosen.index < 100).mean() > 0.4
    assert abs((1 / chosen.to_numpy()).sum() - N) <= 25
