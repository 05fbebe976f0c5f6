"""Which calls are attempts of one logical call."""

from __future__ import annotations

from typing import Any

import numpy as np

from llmops_jobs.signals.attempts import Attempt, Call, group
from tests.signals.world import call


def grouped(*calls: dict[str, Any], gap: float = 300) -> list[Attempt]:
    rows = [
        Call(
            each["day"],
            each["trace_id"],
            each["parent_observation_id"],
            each["name"],
            each["observation_id"],
            each.get("model", "gpt-4o"),
            int(each["start_time"].timestamp() * 1e6),
            int(each["end_time"].timestamp() * 1e6),
            each.get("level") == "ERROR",
            each.get("said_attempt", 0),
            each.get("said_call", ""),
        )
        for each in calls
    ]
    return group(rows, gap)


FAILED: dict[str, Any] = {"level": "ERROR"}


def test_a_call_after_a_failed_sibling_of_the_same_name_is_its_retry() -> None:
    assert grouped(call("t", at=0, **FAILED), call("t", at=2, **FAILED), call("t", at=9)) == [
        ("t/call@0", 1, 3, False),
        ("t/call@0", 2, 3, False),
        ("t/call@0", 3, 3, True),
    ]


def test_success_ends_a_logical_call() -> None:
    found = grouped(call("t", at=0, **FAILED), call("t", at=2), call("t", at=4))
    assert [row[0] for row in found] == ["t/call@0", "t/call@0", "t/call@4"]


def test_other_names_parents_and_traces_are_other_calls() -> None:
    found = grouped(
        call("t", at=0, **FAILED),
        call("t", "other", at=2),
        call("t", at=2, parent_observation_id="elsewhere"),
        call("u", at=2),
    )
    assert {row[2] for row in found} == {1}


def test_a_call_that_started_before_the_failure_ended_is_no_retry() -> None:
    found = grouped(call("t", at=0, seconds=5, **FAILED), call("t", at=2))
    assert [row[2] for row in found] == [1, 1]


def test_a_call_long_after_the_failure_is_no_retry() -> None:
    found = grouped(call("t", at=0, **FAILED), call("t", at=400))
    assert [row[2] for row in found] == [1, 1]


def test_parallel_calls_keep_their_own_retries() -> None:
    found = grouped(
        call("t", at=0, seconds=1, model="a", **FAILED),
        call("t", at=0.1, seconds=0.5, model="b", **FAILED),
        call("t", at=2, model="a"),
        call("t", at=2.1, model="b"),
    )
    assert found[0][0] == found[2][0]
    assert found[1][0] == found[3][0]
    assert found[0][0] != found[1][0]


def test_a_fallback_to_another_model_is_an_attempt() -> None:
    found = grouped(call("t", at=0, model="big", **FAILED), call("t", at=2, model="small"))
    assert found[1] == ("t/call@0", 2, 2, True)


def test_what_metadata_says_wins_over_what_the_times_suggest() -> None:
    found = grouped(
        call("t", at=0, said_attempt=1, **FAILED),
        call("t", at=2, said_attempt=1),
        call("t", at=900, said_attempt=2),
    )
    assert [row[1] for row in found] == [1, 1, 2]
    named = grouped(
        call("t", at=0, said_call="x"),
        call("t", at=0.2, said_call="y"),
        call("t", at=500, said_call="x"),
    )
    assert [row[0] for row in named] == ["t/call@0", "t/call@0.2", "t/call@0"]


def test_order_of_rows_does_not_matter() -> None:
    calls = [call("t", at=at, **(FAILED if at in (0, 4) else {})) for at in (0, 2, 4, 6, 8)]
    expected = dict(zip([c["observation_id"] for c in calls], grouped(*calls), strict=True))
    generator = np.random.default_rng(1)
    for _ in range(10):
        mixed = [calls[i] for i in generator.permutation(len(calls))]
        found = dict(zip([c["observation_id"] for c in mixed], grouped(*mixed), strict=True))
        assert found == expected


def test_the_same_observation_id_in_two_traces_is_two_calls() -> None:
    found = grouped(
        {**call("t"), "observation_id": "same"}, {**call("u"), "observation_id": "same"}
    )
    assert [row[2] for row in found] == [1, 1]


def test_attempts_that_state_their_call_are_one_wherever_they_stand() -> None:
    found = grouped(
        call("t", at=0, parent_observation_id="first", said_call="key-7", **FAILED),
        call("t", "again", at=2, parent_observation_id="second", said_call="key-7"),
        call("t", at=4, parent_observation_id="second", said_call="key-8"),
    )
    assert [(row.logical_call_id, row.attempt) for row in found] == [
        ("t/call@0", 1),
        ("t/call@0", 2),
        ("t/call@4", 1),
    ]
