"""Texts show the defect that caused them, and scores follow from it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.replay.failures import Failure
from llmops_jobs.demo.replay.observations import Role
from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.text import errors
from llmops_jobs.demo.replay.text.conversation import converse
from llmops_jobs.demo.replay.text.extraction import SCHEMA, extraction
from llmops_jobs.demo.replay.text.handbook import TOPICS, handbook
from llmops_jobs.demo.rows import DayRows
from tests.demo_replay.conftest import END

DRAWS = [[int(x) for x in np.random.default_rng(n).integers(0, 2**30, 8)] for n in range(400)]


def numbers(text: str) -> set[str]:
    return {word for word in text.replace(".", " ").split() if word.isdigit()}


def test_a_good_answer_says_only_what_its_sources_say() -> None:
    for draws in DRAWS:
        talk = converse("en", draws[0] % 8, Defect.NONE, draws)
        assert numbers(talk.answer) <= numbers(" ".join(talk.documents))


def test_an_ungrounded_answer_says_something_else() -> None:
    made_up = 0
    for draws in DRAWS:
        talk = converse("en", draws[0] % 8, Defect.UNGROUNDED, draws)
        made_up += not numbers(talk.answer) <= numbers(" ".join(talk.documents))
    assert made_up > 0.85 * len(DRAWS)


@pytest.mark.parametrize("language", ["en", "de", "es", "fr"])
def test_every_defect_changes_the_answer(language: str) -> None:
    for defect in (
        Defect.UNGROUNDED,
        Defect.REFUSAL,
        Defect.LANGUAGE,
        Defect.TRUNCATED,
        Defect.REPETITION,
        Defect.IRRELEVANT,
        Defect.PII,
        Defect.EMPTY,
        Defect.WRONG,
    ):
        different = 0
        for draws in DRAWS[:100]:
            good = converse(language, 1, Defect.NONE, draws).answer
            different += converse(language, 1, defect, draws).answer != good
        assert different > 90, defect.name


def test_the_wrong_language_is_not_the_question_s() -> None:
    german = {word for f in handbook()["de"].values() for fact in f for word in fact.answer.split()}
    answer = converse("en", 0, Defect.LANGUAGE, DRAWS[0]).answer
    assert len(set(answer.split()) & german) > 3


def test_extractions_are_valid_unless_they_are_meant_not_to_be() -> None:
    for draws in DRAWS:
        record = json.loads(extraction(Defect.NONE, draws)[1])
        assert set(record) == set(SCHEMA["required"])  # type: ignore[call-overload]
        assert len(json.loads(extraction(Defect.MISSING_FIELD, draws)[1])) == len(record) - 1
        with pytest.raises(json.JSONDecodeError):
            json.loads(extraction(Defect.INVALID_JSON, draws)[1])


def test_questions_vary() -> None:
    asked = {
        converse("en", topic, 0, draws).question for topic in range(len(TOPICS)) for draws in DRAWS
    }
    assert len(asked) > 1200


def test_every_failure_has_a_message_without_open_slots() -> None:
    for failure in list(Failure)[1:]:
        for provider in ("openai", "anthropic", "gcp.gemini", "groq", "self-hosted"):
            text = errors.message(failure, provider, "some-model", "some_tool", 10, 12345)
            assert text and "{" not in text.replace("{'", "")


def test_failed_calls_say_why_and_have_no_output_unless_it_was_found_bad(
    ago: Callable[[int], DayRows],
) -> None:
    rows = [r for r in ago(5).observations if r["type"] == "GENERATION" and r["level"] == "ERROR"]
    assert len(rows) > 30
    for row in rows:
        assert row["statusMessage"] and row["input"]
        found_late = row["statusMessage"].startswith("ValidationError")
        assert (row["output"] is not None) == found_late
        assert row["totalUsage"] > 0 or not found_late
    assert len({row["statusMessage"][:25] for row in rows}) > 5


def test_retries_are_siblings_that_start_after_the_failed_attempt(
    ago: Callable[[int], DayRows],
) -> None:
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in ago(5).observations:
        if row["type"] == "GENERATION" and row["traceName"] == "chat":
            key = (row["traceId"], row["parentObservationId"], row["name"])
            groups.setdefault(key, []).append(row)
    retried = [sorted(g, key=lambda r: r["startTime"]) for g in groups.values() if len(g) > 1]
    assert len(retried) > 5
    for attempts in retried:
        for failed, following in itertools.pairwise(attempts):
            assert failed["level"] == "ERROR"
            assert following["startTime"] >= failed["endTime"]
            assert following["input"] == failed["input"]


def test_unhappy_users_and_annotators_follow_the_hidden_quality(replay: Replay) -> None:
    up: dict[bool, list[bool]] = {True: [], False: []}
    right: dict[bool, list[bool]] = {True: [], False: []}
    answered = {True: 0, False: 0}
    for back in range(12, 15):
        day = END - timedelta(days=back)
        plan = replay.plan(day)
        good = dict(zip(plan.trace_ids, (plan.requests.defect == 0).tolist(), strict=True))
        table = plan.observations
        final = (table.role == Role.CALL) & (table.failure == 0)
        done = {plan.trace_ids[i] for i in table.request[final].tolist()}
        for row in replay.day(day).scores:
            trace = row["subject"].get("traceId", row["subject"]["id"])
            if trace not in good or trace not in done:
                continue
            if row["name"] == "user_feedback":
                up[good[trace]].append(row["value"])
                answered[good[trace]] += 1
            elif row["name"] == "correct":
                right[good[trace]].append(row["value"])
    assert np.mean(up[True]) > 0.85 > 0.4 > np.mean(up[False])
    assert np.mean(right[True]) > 0.85 and np.mean(right[False]) < 0.2
    # Unhappy users answer more often: one in seven answers is bad, but a quarter of the thumbs.
    assert answered[False] / (answered[True] + answered[False]) > 0.2


def test_some_scores_come_days_after_their_trace(replay: Replay) -> None:
    day = END - timedelta(days=12)
    earlier = set(replay.plan(day - timedelta(days=1)).trace_ids)
    earlier |= set(replay.plan(day - timedelta(days=2)).trace_ids)
    scores = replay.day(day).scores
    subjects = {row["subject"].get("traceId", row["subject"]["id"]) for row in scores}
    assert subjects & earlier
    assert len({row["id"] for row in scores}) == len(scores)
