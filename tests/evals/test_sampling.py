from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.evals.sampling import choose_texts, hashes, probabilities, systematic
from tests.facts import facts


def _calls(n: int, **columns: object) -> list[dict[str, object]]:
    return [
        {"trace_id": f"t{i}", "observation_id": f"o{i}", "feature": "rag", **columns}
        for i in range(n)
    ]


def test_the_same_day_and_seed_give_the_same_rows_and_another_seed_gives_others() -> None:
    observations = facts("observations", _calls(1000))
    scores = facts("scores", [])
    first = choose_texts(observations, scores, 100, seed=1)
    assert first.num_rows == 100
    assert first.equals(choose_texts(observations, scores, 100, seed=1))
    assert not first.equals(choose_texts(observations, scores, 100, seed=2))
    # The order in which the rows come says nothing.
    shuffled = observations.take(np.random.default_rng(0).permutation(1000))
    assert first.equals(choose_texts(shuffled, scores, 100, seed=1))


def test_annotated_and_voted_down_traces_are_always_in() -> None:
    observations = facts("observations", _calls(1000))
    scores = facts(
        "scores",
        [
            {"trace_id": "t7", "value": 0.0},
            {"trace_id": "t8", "value": 1.0},
            {
                "trace_id": "t9",
                "observation_id": "o9",
                "subject_kind": "observation",
                "source": "ANNOTATION",
                "name": "correct",
            },
        ],
    )
    for seed in range(20):
        chosen = choose_texts(observations, scores, 10, seed).to_pandas().set_index("trace_id")
        assert len(chosen) == 10
        assert chosen.loc["t7", "inclusion_probability"] == 1
        assert chosen.loc["t9", "inclusion_probability"] == 1


def test_as_many_marked_traces_as_the_budget_are_all_in_and_leave_calls_for_the_rate() -> None:
    observations = facts("observations", _calls(300))
    down = [{"trace_id": f"t{i}", "value": 0.0} for i in range(15)]
    chosen = choose_texts(observations, facts("scores", down), 20, seed=0).to_pandas()
    assert (chosen["inclusion_probability"] == 1).sum() == 15
    assert (chosen["inclusion_probability"] < 1).sum() == 10


def test_more_votes_against_than_the_budget_are_likelier_and_what_people_labelled_is_in() -> None:
    observations = facts("observations", _calls(300))
    down = [{"trace_id": f"t{i}", "value": 0.0} for i in range(50)]
    label = {"trace_id": "t99", "source": "ANNOTATION", "name": "correct", "value": 1.0}
    chosen = choose_texts(observations, facts("scores", [*down, label]), 20, seed=0).to_pandas()
    chosen = chosen.set_index("trace_id")
    assert len(chosen) == 20 and chosen.loc["t99", "inclusion_probability"] == 1
    marked = chosen.index.isin([f"t{i}" for i in range(50)])
    p = chosen["inclusion_probability"]
    assert p[marked].nunique() == 1 and p[marked].iloc[0] == pytest.approx(4 * p[~marked].min())
    # What people labelled is in, however much it is.
    labels = [label | {"trace_id": f"t{i}"} for i in range(50)]
    chosen = choose_texts(observations, facts("scores", labels), 20, seed=0).to_pandas()
    assert (chosen["inclusion_probability"] == 1).sum() == 50 and len(chosen) == 60


def test_every_call_is_read_as_often_as_its_probability_says_and_totals_are_unbiased() -> None:
    """Over seeds; with always-in calls, small strata, one of a single call, too many marked."""
    calls = [
        {"trace_id": f"{feature}{i}", "observation_id": "o", "feature": feature}
        for feature, n in (("a", 150), ("b", 30), ("c", 4), ("d", 1))
        for i in range(n)
    ]
    observations = facts("observations", calls)
    truth = {row["trace_id"]: i % 3 == 0 for i, row in enumerate(calls)}
    for marked in (5, 40):
        down = [{"trace_id": f"a{i}", "value": 0.0} for i in range(marked)]
        scores = facts("scores", down)
        seen: dict[str, int] = dict.fromkeys(truth, 0)
        stored: dict[str, float] = {}
        totals, rounds = [], 250
        for seed in range(rounds):
            chosen = choose_texts(observations, scores, 30, seed)
            assert chosen.num_rows == 30
            rows = chosen.to_pydict()
            total = 0.0
            for trace, p in zip(rows["trace_id"], rows["inclusion_probability"], strict=True):
                seen[trace] += 1
                assert stored.setdefault(trace, p) == p  # the same whatever else was drawn
                total += truth[trace] / p
            totals.append(total)
        assert set(stored) == set(truth)
        for trace, p in stored.items():
            error = 4.5 * (p * (1 - p) / rounds) ** 0.5
            assert abs(seen[trace] / rounds - p) <= error + 1e-9, trace
        wrong = np.mean(totals) - sum(truth.values())
        assert abs(wrong) < 4 * np.std(totals) / rounds**0.5


def test_failed_calls_embeddings_spans_and_judge_calls_are_not_read() -> None:
    odd = [
        {"trace_id": "e", "level": "ERROR"},
        {"trace_id": "s", "is_model_call": False, "type": "SPAN"},
        {"trace_id": "v", "type": "EMBEDDING"},
        {"trace_id": "j", "is_evaluation": True},
    ]
    observations = facts("observations", [*_calls(5), *odd])
    chosen = choose_texts(observations, facts("scores", []), 100, seed=0)
    assert sorted(chosen["trace_id"].to_pylist()) == [f"t{i}" for i in range(5)]
    assert chosen["inclusion_probability"].to_pylist() == [1.0] * 5


def test_small_strata_are_seen_and_their_weights_undo_it() -> None:
    calls = [
        {"trace_id": f"{feature}{i}", "observation_id": "o", "feature": feature}
        for feature, n in (("big", 10_000), ("small", 100))
        for i in range(n)
    ]
    chosen = choose_texts(facts("observations", calls), facts("scores", []), 220, 3).to_pandas()
    small = chosen["trace_id"].str.startswith("small")
    assert 19 <= small.sum() <= 21  # a tenth of the share, not a hundredth
    weights = 1 / chosen["inclusion_probability"]
    assert abs(weights[small].sum() - 100) <= 6
    assert abs(weights[~small].sum() - 10_000) <= 60


def test_a_row_is_drawn_as_often_as_its_probability_says() -> None:
    rng = np.random.default_rng(5)
    weights = rng.exponential(size=60)
    probability = probabilities(weights, 20)
    assert np.isclose(probability.sum(), 20) and probability.max() <= 1
    strata = pd.Series(rng.choice(["a", "b", "c"], 60))
    keys = [f"k{i}" for i in range(60)]
    drawn = np.zeros(60)
    for seed in range(3000):
        mask = systematic(probability, strata, hashes(keys, seed), hashes(["start"], seed)[0])
        assert mask.sum() in (19, 20, 21)
        drawn += mask
    assert np.abs(drawn / 3000 - probability).max() < 0.045


def test_no_budget_and_no_calls_give_no_rows() -> None:
    empty = facts("observations", [])
    assert choose_texts(empty, facts("scores", []), 10, 0).num_rows == 0
    assert choose_texts(facts("observations", _calls(3)), facts("scores", []), 0, 0).num_rows == 0
