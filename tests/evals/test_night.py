"""One night in the stores: scores, rates, drift; run again, nothing changes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.evals.drift import DriftHistory, drift_day
from llmops_jobs.evals.measure import Scored, Scoring, score_day
from llmops_jobs.evals.quality import quality_day
from llmops_jobs.evals.questions import Questions
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.facts import DAY, PROJECT, facts

SETTINGS = EvalSettings()


def land(
    lake: Lake,
    day: date,
    answers: list[str],
    questions: list[str] | None = None,
    probability: float = 1.0,
    labels: dict[int, bool] | None = None,
    project: str = PROJECT,
    **about: Any,
) -> None:
    questions = questions or ["Where is my order? I have been waiting for it."] * len(answers)
    ids = [{"trace_id": f"{day}-{i}", "observation_id": f"o{i}"} for i in range(len(answers))]
    for each in ids:
        each["project_id"] = project
    texts = [
        {**key, "input": q, "output": a, "inclusion_probability": probability}
        for key, q, a in zip(ids, questions, answers, strict=True)
    ]
    scores = [
        {
            **ids[i],
            "name": "correct",
            "source": "ANNOTATION",
            "value": float(passed),
            "subject_kind": "observation",
        }
        for i, passed in (labels or {}).items()
    ]
    about_calls = facts("observations", [key | about for key in ids])
    lake.replace_day("observations", project, day, about_calls)
    lake.replace_day("observation_text", project, day, facts("observation_text", texts))
    lake.replace_day("scores", project, day, facts("scores", scores))


def score(lake: Lake, database: Database, day: date) -> Scored:
    return score_day(Scoring.prepared(lake, database, SETTINGS), PROJECT, day)


def total(database: Database, metric: str, window: int = 1, day: date = DAY) -> pd.Series:
    rows = database.table("quality_window", PROJECT, day, day, metric=metric, scope="total")
    return rows[rows["window_days"] == window].iloc[0]


def test_every_call_gets_a_row_per_scorer_and_a_second_run_changes_nothing(
    lake: Lake, database: Database
) -> None:
    land(lake, DAY, ["Your order arrives tomorrow.", "", "I'm sorry, but I can't help with that."])
    scored = score(lake, database, DAY)
    first = database.table("score", PROJECT)
    assert len(first) == 3 * len(scored.failures) == sum(scored.statuses.values())
    assert scored.failures["empty"] == 1 and scored.failures["refusal"] == 1
    assert scored.statuses["error"] == 0
    score(lake, database, DAY)
    pd.testing.assert_frame_equal(first, database.table("score", PROJECT))


def test_a_day_without_texts_has_no_scores_and_no_rates(lake: Lake, database: Database) -> None:
    assert score(lake, database, DAY).calls == 0
    assert quality_day(lake, database, PROJECT, DAY, SETTINGS).empty
    history = DriftHistory(Questions(lake))
    assert drift_day(database, history, PROJECT, DAY, SETTINGS).empty
    assert database.table("quality_daily").empty


def test_rates_are_shares_that_pass_with_their_interval(lake: Lake, database: Database) -> None:
    land(lake, DAY, ["Fine, it is on its way."] * 9 + [""])
    score(lake, database, DAY)
    quality_day(lake, database, PROJECT, DAY, SETTINGS)
    row = total(database, "empty")
    assert row["estimate"] == pytest.approx(0.9) and row["n"] == 10
    assert row["low"] < 0.9 < row["high"] and row["method"] == "wilson"
    cells = database.table("quality_daily", PROJECT, metric="empty")
    assert cells["n"].sum() == 10 and list(cells["feature"]) == ["chat"]


def test_labels_alone_are_wilson_and_without_labels_nothing_is_claimed(
    lake: Lake, database: Database
) -> None:
    land(lake, DAY, ["Fine, it is on its way."] * 30, labels={0: True, 1: True, 2: False})
    score(lake, database, DAY)
    quality_day(lake, database, PROJECT, DAY, SETTINGS)
    row = total(database, "correct")
    assert (row["n_human"], row["method"]) == (3, "wilson")
    assert row["estimate"] == pytest.approx(2 / 3)


def test_a_week_adds_up_its_days_and_a_day_sees_nothing_later(
    lake: Lake, database: Database
) -> None:
    days = [DAY + timedelta(days=i) for i in range(9)]
    for i, day in enumerate(days):
        land(lake, day, [""] * (i % 2) + ["Fine, it is on its way."] * 4)
        score(lake, database, day)
    for day in reversed(days):  # the order in which days are run says nothing
        quality_day(lake, database, PROJECT, day, SETTINGS)
    for day in days:
        quality_day(lake, database, PROJECT, day, SETTINGS)
    assert total(database, "empty", 7, days[-1])["n"] == 7 * 4 + 3
    assert total(database, "empty", 28, days[-1])["n"] == 9 * 4 + 4
    assert total(database, "empty", 7, days[0])["n"] == 4


def test_judge_and_experiment_calls_stay_out_of_product_quality(
    lake: Lake, database: Database
) -> None:
    land(lake, DAY, [""] * 5, is_evaluation=True)
    score(lake, database, DAY)
    windows = quality_day(lake, database, PROJECT, DAY, SETTINGS)
    assert windows.empty
    assert database.table("quality_daily", metric="empty")["is_evaluation"].all()


_SUBJECTS = {
    "parcel": "parcel delivery tracking courier address street package",
    "refund": "refund money card payment charged twice bank",
    "login": "password login account reset code email locked",
    "invoice": "invoice tax company receipt billing number copy",
    "device": "device battery screen broken repair warranty charger",
    "plan": "plan upgrade subscription month price cancel contract",
    "flight": "flight airline ticket booking airport luggage seat",
}


def _night_of_questions(lake: Lake, day: date, seed: int, share: float, **about: Any) -> None:
    rng = np.random.default_rng([seed, day.toordinal()])
    usual = [name for name in _SUBJECTS if name != "flight"]
    texts = []
    for _ in range(150):
        subject = "flight" if rng.random() < share else str(rng.choice(usual))
        words = rng.permutation(_SUBJECTS[subject].split())[:5]
        texts.append(f"I need help with my {' and my '.join(words)}, please.")
    land(lake, day, ["It is on its way and will arrive soon."] * 150, questions=texts, **about)


def test_a_new_topic_is_seen_by_night_and_named_and_a_quiet_night_is_quiet(
    lake: Lake, database: Database
) -> None:
    days = [date(2026, 3, 1) + timedelta(days=i) for i in range(16)]
    for day in days:
        _night_of_questions(lake, day, 1, share=0.35 if day == days[-1] else 0.02)
        score(lake, database, day)
    history = DriftHistory(Questions(lake))
    quiet = drift_day(database, history, PROJECT, days[-2], SETTINGS)
    loud = drift_day(database, history, PROJECT, days[-1], SETTINGS)
    assert (quiet["p_value"] > 0.01).all() and len(quiet) > 5
    drifted = loud[loud["p_value"] < 0.01]
    assert {"input", "topic"} <= set(drifted["kind"])
    assert drifted["detail"].str.contains("flight|airline|ticket|booking|airport").any()
    ids = set(database.table("topic", PROJECT)["topic_id"])
    again = drift_day(database, DriftHistory(Questions(lake)), PROJECT, days[-1], SETTINGS)
    pd.testing.assert_frame_equal(loud, again)
    assert set(database.table("topic", PROJECT)["topic_id"]) == ids
    shares = database.table("topic_share", PROJECT, days[-1], days[-1])
    assert shares["share"].sum() == pytest.approx(1)


def test_no_word_of_few_users_enters_a_mart(lake: Lake, database: Database) -> None:
    days = [date(2026, 3, 1) + timedelta(days=i) for i in range(16)]
    for day in days:
        share = 0.35 if day == days[-1] else 0.02
        _night_of_questions(lake, day, 1, share, user_id="one-chatty-user")
        score(lake, database, day)
    loud = drift_day(database, DriftHistory(Questions(lake)), PROJECT, days[-1], SETTINGS)
    topics = database.table("topic", PROJECT)
    assert "topic" in set(loud.loc[loud["p_value"] < 0.01, "kind"]) and len(topics) > 5
    written = " ".join([*loud["detail"], *topics["name"], *topics["terms"]])
    for word in " ".join(_SUBJECTS.values()).split():
        assert word not in written


def test_whatever_the_texts_are_each_call_ends_scored_or_skipped_with_a_reason(
    lake: Lake, database: Database
) -> None:
    answers = [
        "",
        "x" * 5_000_000,
        "\x00\x01\x02" * 50,
        "مرحبا بك في متجرنا، كيف يمكنني مساعدتك اليوم؟",
        '{"a": "{\\"b\\": [1, 2]}"}',
        "很抱歉，我无法提供帮助。",
        "�" * 3000,
    ]
    land(lake, DAY, answers)
    scored = score(lake, database, DAY)
    rows = database.table("score", PROJECT)
    assert len(rows) == len(answers) * len(scored.failures)
    assert set(rows["status"]) == {"ok", "skipped"}
    assert (rows.loc[rows["status"] == "skipped", "reason"] != "").all()
    assert rows["reason"].str.len().max() < 301
    assert scored.failures["empty"] == 1 and scored.failures["refusal"] == 1
    assert scored.failures["repetition"] == 3
