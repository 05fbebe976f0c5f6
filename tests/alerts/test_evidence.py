"""The traces that a message links to are those that show what it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd
import pytest

from llmops_jobs.alerts.evidence import Evidence
from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.facts import DAY, PROJECT, facts

_URL = "https://langfuse.example"


def _links(
    lake: Lake, database: Database, topic: str, labels: Mapping[str, str], **detail: str
) -> list[str]:
    finding = Finding("rule", labels, True, "warning", "", topic=topic, detail=detail)
    evidence = Evidence(Marts(database, PROJECT, DAY, DAY), lake, _URL)
    prefix = f"{_URL}/project/{PROJECT}/traces/"
    return [link.removeprefix(prefix) for link in evidence.of(finding, DAY)["traces"]]


@pytest.fixture
def landed(lake: Lake) -> Lake:
    calls = [
        {"trace_id": "cheap", "observation_id": "o1", "reported_cost_usd": 0, "feature": "chat"},
        {"trace_id": "failed", "observation_id": "o2", "level": "ERROR", "feature": "chat"},
        {"trace_id": "dear", "observation_id": "o3", "feature": "chat", "reported_cost_usd": 9},
        {"trace_id": "dearest", "observation_id": "o4", "feature": "b", "reported_cost_usd": 99},
    ]
    lake.replace_day("observations", PROJECT, DAY, facts("observations", calls))
    return lake


def test_a_budget_links_to_the_dearest_calls_of_what_it_covers(
    landed: Lake, database: Database
) -> None:
    detail = {"scope": "feature=chat", "metric": "cost_usd"}
    links = _links(landed, database, "budget", {"budget": "chat"}, **detail)
    assert links[0] == "dear?observation=o3"
    assert not any("dearest" in link for link in links)


def test_errors_link_to_failed_calls(landed: Lake, database: Database) -> None:
    assert _links(landed, database, "errors", {"feature": "chat"}) == ["failed?observation=o2"]


def test_a_fault_of_the_copy_has_no_trace_that_shows_it(landed: Lake, database: Database) -> None:
    assert _links(landed, database, "data", {}) == []
    assert _links(landed, database, "drift", {"kind": "topic", "subject": "t"}) == []


@pytest.mark.parametrize("labels", [{"quality": "toxic"}, {"kind": "score", "subject": "toxic"}])
def test_quality_links_to_calls_that_the_scorer_failed(
    landed: Lake, database: Database, labels: dict[str, str]
) -> None:
    key = {"trace_id": "cheap", "observation_id": "o1", "scorer": "toxic", "scorer_version": "1"}
    row = key | {"status": "ok", "passed": False, "value": 0.9, "cost_usd": 0}
    database.replace_day("score", PROJECT, DAY, pd.DataFrame([row]))
    assert _links(landed, database, "quality", labels) == ["cheap?observation=o1"]


def test_a_changed_judge_links_to_the_calls_it_says_something_else_of(
    lake: Lake, database: Database
) -> None:
    rows = [
        {"rubric": rubric, "trace_id": trace, "observation_id": "o", "passed": passed}
        | {"first_passed": True, "judge_model": "m", "call_day": DAY}
        for rubric, trace, passed in (("r", "same", True), ("r", "other", False), ("s", "x", False))
    ]
    database.replace_day("judge_canary", PROJECT, DAY, pd.DataFrame(rows))
    labels = {"kind": "judge_canary", "subject": "r", "quality": "r"}
    assert _links(lake, database, "judge", labels) == ["other?observation=o"]


def test_a_new_subject_links_to_questions_about_it(lake: Lake, database: Database) -> None:
    from tests.evals.test_night import land

    usual = [f"where is my {chr(97 + i) * 4} please" for i in range(20)]
    for ago in range(20, -1, -1):
        day = DAY - timedelta(days=ago)
        texts = [
            *usual,
            *([f"was my {word[12:16]} in the leak" for word in usual[:12]] * (not ago)),
        ]
        answers = ["It is on its way."] * len(texts)
        land(lake, day, answers, questions=texts, feature="chat")
    labels = {"kind": "words", "subject": "feature=chat"}
    links = _links(lake, database, "drift", labels, scope="feature=chat")
    assert links == [f"{DAY}-{i}?observation=o{i}" for i in (20, 21, 22)]
