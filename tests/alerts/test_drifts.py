"""What moved without failing, and the judge that explains what it says."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from llmops_jobs.store import Database
from tests.alerts.traffic import evaluated, usage
from tests.facts import DAY, PROJECT

_CELLS = [{"feature": "chat"}, {"feature": "search"}]


def _drift(database: Database, day: date, *rows: dict[str, Any]) -> None:
    usage(database, day, _CELLS)
    frame = pd.DataFrame([{"statistic": 9.0, "p_value": 1e-6, "detail": ""} | row for row in rows])
    database.replace_day("drift", PROJECT, day, frame)


def _words(after: float, p: float = 1e-6) -> dict[str, Any]:
    row = {"kind": "words", "subject": "feature=chat", "before": 0.02, "after": after}
    return row | {"p_value": p}


def test_a_new_subject_is_one_incident_of_its_feature_however_it_is_seen(
    database: Database,
) -> None:
    topic = {"kind": "topic", "subject": "t1", "before": 0.05, "after": 0.2}
    _drift(database, DAY, _words(0.3), topic)
    (found,) = evaluated(database)
    assert json.loads(found["labels"]) == {"kind": "words", "subject": "feature=chat"}
    assert found["summary"] == (
        "Drift of words feature=chat: from 0.02 in the four weeks before to 0.3"
    )


def test_a_subject_that_goes_on_is_not_told_again_each_time_it_is_plain(
    database: Database,
) -> None:
    seen = [_words(0.3), _words(0.09, p=0.04), _words(0.25), _words(0.03, p=0.9), _words(0.3)]
    for ahead, row in enumerate(seen):
        _drift(database, DAY + timedelta(days=ahead), row)
        found = evaluated(database, DAY + timedelta(days=ahead))
    assert [row["state"] for row in found] == ["open"]
    assert database.table("notification")["kind"].tolist() == ["open"]
    for ahead in (5, 6):
        _drift(database, DAY + timedelta(days=ahead), _words(0.03, p=0.9))
        (found,) = [evaluated(database, DAY + timedelta(days=ahead))]
    assert [row["state"] for row in found] == ["resolved"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (_words(0.11), 0),  # nine points
        (_words(0.3, p=0.02), 0),
        ({"kind": "topic", "subject": "t", "before": 0.1, "after": 0.3, "p_value": 0.002}, 0),
        ({"kind": "topic", "subject": "t", "before": 0.3, "after": 0.1}, 1),
        ({"kind": "input", "subject": "q", "before": 0.5, "after": 0.8, "statistic": 0.6}, 0),
        ({"kind": "input", "subject": "q", "before": 0.5, "after": 0.8, "statistic": 0.8}, 1),
        ({"kind": "score", "subject": "toxic", "before": 0.5, "after": 0.8, "statistic": 0.1}, 0),
        ({"kind": "of another version", "subject": "x", "before": 0.5, "after": 0.8}, 0),
        ({"kind": "judge_canary", "subject": "r", "before": 0.8, "after": 0.8, "statistic": 0}, 0),
        ({"kind": "judge_canary", "subject": "r", "before": None, "after": None}, 1),
    ],
)  # fmt: skip
def test_a_drift_is_told_when_it_is_large_and_beyond_chance(
    database: Database, row: dict[str, Any], told: int
) -> None:
    _drift(database, DAY, row)
    assert len(evaluated(database)) == told


def _passed(database: Database, day: date, metric: str, rate: float) -> None:
    n = 300.0
    sums = {"n": 300, "w": n, "w2": n, "wy": n * rate, "w2_y": n * rate}
    empty = {"wf": 0.0, "w2_f": 0.0, "w2_ff": 0.0}
    row = {"scope": "total", "metric": metric, "part": "scored"}
    old = database.table("quality_sums", PROJECT, day, day)
    frame = pd.concat([old, pd.DataFrame([row | sums | empty])], ignore_index=True)
    database.replace_day("quality_sums", PROJECT, day, frame.drop(columns=["project_id", "day"]))


def _judged_days(database: Database, metric: str) -> None:
    for ago in range(10, -1, -1):
        day = DAY - timedelta(days=ago)
        usage(database, day, _CELLS)
        _passed(database, day, metric, 0.9 if ago else 0.5)


def test_a_judge_that_changed_its_mind_is_the_cause_of_what_it_says(database: Database) -> None:
    _judged_days(database, "helpful")
    canary = {"kind": "judge_canary", "subject": "helpful", "before": 0.9, "after": 0.5}
    _drift(database, DAY, canary)
    (found,) = evaluated(database)
    labels = json.loads(found["labels"])
    assert (found["rule"], labels["kind"], labels["subject"]) == (
        "drift",
        "judge_canary",
        "helpful",
    )
    assert found["summary"] == "Drift of judge canary helpful: from 0.9 a week before to 0.5"
    detail = json.loads(found["detail"])
    assert set(detail["rules"]) == {"drift", "quality-by-day"}
    assert any("answers that pass 50.0%" in line for line in detail["also"])


def test_a_judge_that_changed_its_mind_explains_nothing_that_it_did_not_judge(
    database: Database,
) -> None:
    _judged_days(database, "refusal")
    usage(database, DAY, [{"feature": "chat", "errors": 300}, {"feature": "search"}])
    frame = [{"kind": "judge_canary", "subject": "helpful", "before": 0.9, "after": 0.5}]
    database.replace_day(
        "drift", PROJECT, DAY, pd.DataFrame(frame).assign(statistic=9.0, p_value=1e-6, detail="")
    )
    assert {row["rule"] for row in evaluated(database)} >= {"drift", "error-rate-by-feature"}
    by_rule = {row["rule"]: json.loads(row["detail"])["rules"] for row in evaluated(database)}
    assert by_rule["drift"] == ["drift"]
