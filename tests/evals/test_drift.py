"""Drift of scores and of the judge: a planted change is found, and a quiet week is quiet."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.evals.drift import (
    REFERENCE_DAYS,
    DriftHistory,
    canary_findings,
    drift_day,
    score_findings,
)
from llmops_jobs.evals.questions import Questions
from llmops_jobs.evals.rows import histogram
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.evals.shift import histogram_shift
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.facts import DAY, PROJECT


def scores(rng: np.random.Generator, failing: float, n: int = 150) -> pd.DataFrame:
    value = (rng.random(n) < failing).astype(float)
    weights = rng.choice([1.0, 0.25], n)
    return histogram(
        [pd.DataFrame({"scorer": "empty", "value": value, "inclusion_probability": weights})]
    )


def week(database: Database, rng: np.random.Generator, today: float) -> None:
    for back in range(REFERENCE_DAYS + 1):
        rows = scores(rng, 0.05 if back else today)
        database.replace_day("score_histogram", PROJECT, DAY - timedelta(days=back), rows)


def test_a_scorer_that_fails_more_calls_than_last_week_is_found(database: Database) -> None:
    week(database, np.random.default_rng(1), today=0.2)
    (found,) = score_findings(database, PROJECT, DAY)
    assert (found.kind, found.subject) == ("score", "empty") and found.shift.p_value < 0.001
    week(database, np.random.default_rng(1), today=0.05)
    (found,) = score_findings(database, PROJECT, DAY)
    assert found.shift.p_value > 0.05


def test_weeks_in_which_nothing_changed_alarm_as_seldom_as_they_should() -> None:
    rng = np.random.default_rng(2)
    alarms = []
    for _ in range(240):
        sides = []
        for n in (1050, 150):
            rows = scores(rng, 0.08, n)
            effective = rows["w"].sum() ** 2 / rows["w2"].sum()
            sides += [dict(zip(rows["bucket"], rows["w"], strict=True)), effective]
        found = histogram_shift(*sides)
        alarms.append(found is not None and found[1] < 0.05)
    assert 0.005 < np.mean(alarms) < 0.095  # 5 %, within the error of 240 weeks


def canary(database: Database, changed: int, day: date = DAY) -> None:
    """Twenty calls, of which the judge now fails so many that it passed at first."""
    rows = pd.DataFrame(
        {
            "rubric": "correctness",
            "trace_id": [f"t{i}" for i in range(20)],
            "observation_id": "o",
            "call_day": DAY,
            "passed": [i >= changed for i in range(20)],
            "first_passed": True,
            "judge_model": "judge-1",
        }
    )
    database.replace_day("judge_canary", PROJECT, day, rows)


def test_one_verdict_that_the_judge_changed_is_no_drift_and_many_are(database: Database) -> None:
    for changed, drifted in ((0, False), (1, False), (8, True)):
        canary(database, changed)
        (found,) = canary_findings(database, PROJECT, DAY)
        assert (found.shift.p_value < 0.05) is drifted
        assert found.shift.statistic == changed


@pytest.mark.parametrize("changed", [0, 12])
def test_what_a_changed_judge_says_is_not_read_as_a_change_of_the_product(
    lake: Lake, database: Database, changed: int
) -> None:
    days = [DAY - timedelta(days=back) for back in range(REFERENCE_DAYS, -1, -1)]
    for day in days:
        today = day == DAY
        rng = np.random.default_rng(day.toordinal())
        rows = scores(rng, 0.6 if today else 0.05).assign(scorer="judge:correctness")
        database.replace_day("score_histogram", PROJECT, day, rows)
        canary(database, changed if today else 0, day)
    found = drift_day(database, DriftHistory(Questions(lake)), PROJECT, DAY, EvalSettings())
    kinds = set(found.loc[found["p_value"] < 0.05, "kind"])
    assert kinds == ({"judge_canary"} if changed else {"score"})
    # A week later the changed judge is the usual one.
    later = DAY + timedelta(days=REFERENCE_DAYS)
    for back in range(REFERENCE_DAYS):
        canary(database, changed, later - timedelta(days=back))
    (usual,) = canary_findings(database, PROJECT, later)
    assert usual.shift.p_value == 1
