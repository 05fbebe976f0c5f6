"""The judge over real HTTP: verdicts, budget, cache, faults, hostile text, the canary."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.drift import canary_findings
from llmops_jobs.evals.judge.budget import Budget
from llmops_jobs.evals.judge.night import Judge
from llmops_jobs.evals.judge.prompt import mark_of, messages, read_verdict
from llmops_jobs.evals.judge.rubric import load
from llmops_jobs.evals.measure import Scored, Scoring, score_day
from llmops_jobs.evals.quality import quality_day
from llmops_jobs.evals.settings import EvalSettings, JudgeSettings
from llmops_jobs.lake import Lake
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.store import Database
from tests.evals.attacks import ATTACKS
from tests.evals.fake_judge import FakeJudge, running
from tests.evals.test_night import land
from tests.facts import DAY, PROJECT

JUDGE = JudgeSettings(
    rubrics=("correctness",),
    anchors={"correctness": "correct"},
    model="judge-1",
    retries=2,
    canary_calls=0,
    trace=False,
)
GOOD, BAD = "GOOD, it is on its way to you.", "It may be anywhere, who knows that."


def night(
    fake: FakeJudge,
    lake: Lake,
    database: Database,
    day: date = DAY,
    keys: ProjectKeys | None = None,
    **changes: Any,
) -> Scored:
    settings = JUDGE.model_copy(update=changes)
    judge = Judge.configured(settings, keys, {"LLMOPS_JUDGE_BASE_URL": f"{fake.url}/v1"})
    evals = EvalSettings(scorers=("empty",), judge=settings)
    return score_day(Scoring.prepared(lake, database, evals, judge), PROJECT, day)


def verdicts(database: Database, day: date = DAY) -> pd.DataFrame:
    return database.table("score", PROJECT, day, day, scorer="judge:correctness")


def judged(database: Database, day: date = DAY) -> pd.Series:
    return database.table("judge_night", PROJECT, day, day).iloc[0]


def test_verdicts_become_scores_with_their_probability_and_cost(
    lake: Lake, database: Database
) -> None:
    answers = [f"{GOOD} {i}" for i in range(30)] + [f"{BAD} {i}" for i in range(10)]
    land(lake, DAY, answers, probability=0.5)
    with running(FakeJudge()) as fake:
        night(fake, lake, database, calls_per_night=20)
    rows = verdicts(database)
    assert 18 <= len(rows) <= 21 and (rows["status"] == "ok").all()
    assert set(rows["label"]) == {"pass", "fail"}
    assert (rows["inclusion_probability"] < 0.5).all()
    weights = 1 / rows["inclusion_probability"]
    assert weights.sum() == pytest.approx(80, rel=0.25)
    cost = Decimal("0.000099")  # 500 tokens in at 0.15, 40 out at 0.60 USD per million
    assert set(rows["cost_usd"]) == {cost}
    assert judged(database)["cost_usd"] == cost * len(rows)
    body = fake.bodies[0]
    assert body["response_format"]["json_schema"]["strict"] and body["temperature"] == 0


def test_the_same_calls_are_never_paid_for_twice(lake: Lake, database: Database) -> None:
    land(lake, DAY, [f"{GOOD} {i}" for i in range(5)])
    with running(FakeJudge()) as fake:
        night(fake, lake, database)
        first = verdicts(database)
        night(fake, lake, database)
        assert len(fake.bodies) == 5
        night(fake, lake, database, model="another")
        assert len(fake.bodies) == 10
    assert list(first["passed"]) == list(verdicts(database)["passed"])
    assert judged(database)["cached"] == 0


def test_the_budget_holds_in_calls_and_in_money_and_what_is_left_out_is_said(
    lake: Lake, database: Database
) -> None:
    land(lake, DAY, [f"{GOOD} no {i}" for i in range(60)])
    with running(FakeJudge()) as fake:
        night(fake, lake, database, usd_per_night=Decimal("0.004"), parallel=4)
        most = judged(database)
        assert most["cost_usd"] <= Decimal("0.004") and most["skipped"] > 0
        rows = verdicts(database)
        left = rows[rows["status"] == "skipped"]
        assert len(left) == most["skipped"] and set(left["label"]) == {"skipped_budget"}
        assert left["passed"].isna().all()
        assert len(fake.bodies) == most["requests"] < 60
        assert fake.most_in_flight <= 4
        fake.bodies.clear()
        land(lake, DAY + timedelta(days=1), [f"{GOOD} {i}" for i in range(60)])
        night(fake, lake, database, DAY + timedelta(days=1), calls_per_night=7)
        assert len(fake.bodies) == 7


def test_money_is_reserved_before_a_request_is_sent(any_database: Database) -> None:
    budget = Budget(any_database, PROJECT, DAY, Decimal(1), 3)
    budget.open()
    assert budget.reserve(Decimal("0.6")) and not budget.reserve(Decimal("0.6"))
    budget.settle(Decimal("0.6"), Decimal("0.1"))
    assert budget.reserve(Decimal("0.6")) and budget.reserve(Decimal("0.3"))
    assert not budget.reserve(Decimal(0))  # three calls were all
    night = judged(any_database)
    assert (night["cost_usd"], night["requests"]) == (Decimal(1), 3)


def test_two_processes_at_once_share_the_cap_of_the_night(any_database: Database) -> None:
    """Each alone would take 60 calls, or 0.60 USD: of both caps the one that is reached first."""
    Budget(any_database, PROJECT, DAY, Decimal(1), 1).open()
    url = any_database.engine.url.render_as_string(hide_password=False)
    for calls, usd, cost, taken in ((60, 9, "0.01", 60), (900, 1, "0.011", 90)):
        spends = [sys.executable, "-c", _SPEND, url, PROJECT, str(DAY), str(calls), str(usd), cost]
        both = [subprocess.Popen(spends, stdout=subprocess.PIPE) for _ in range(2)]
        reserved = [int(each.communicate(timeout=60)[0]) for each in both]
        assert sum(reserved) == taken == judged(any_database)["requests"]
        assert judged(any_database)["cost_usd"] == taken * Decimal(cost)
        night = {"cost_usd": [Decimal(0)], "requests": [0]}
        any_database.replace_day("judge_night", PROJECT, DAY, pd.DataFrame(night))


_SPEND = """
import sys
from datetime import date
from decimal import Decimal
from llmops_jobs.evals.judge.budget import Budget
from llmops_jobs.store import Database
url, project, day, calls, usd, cost = sys.argv[1:]
budget = Budget(Database(url), project, date.fromisoformat(day), Decimal(usd), int(calls))
taken = 0
while budget.reserve(Decimal(cost)):
    taken += 1
print(taken)
"""


@pytest.mark.parametrize(
    ("mode", "status", "reason", "requests"),
    [
        ("busy_at_first", "ok", "judged", 3),
        ("garbage_once", "ok", "judged", 2),
        ("wrong_mark", "ok", "judged", 2),
        ("garbage", "error", "garbage twice", 2),
        ("half", "error", "garbage twice", 2),
        ("no_body", "error", "garbage twice", 2),
        ("empty_body", "error", "garbage twice", 2),
        ("wrong_types", "error", "garbage twice", 2),
        ("huge", "error", "garbage twice", 2),
        ("streams", "error", "garbage twice", 2),
        ("parts", "ok", "judged", 1),
        ("thinks_aloud", "ok", "judged", 1),
        ("claims_a_fortune", "ok", "judged", 1),
        ("no_schema", "ok", "judged", 2),
        ("newer_model", "ok", "judged", 3),
        ("busy_until", "ok", "judged", 2),
        ("error_at_first", "ok", "judged", 2),
        ("redirects", "error", "http 307", 1),
        ("hangs_up", "error", "connection: RemoteProtocolError", 3),
        ("drips", "error", "timeout", 1),
        ("refuses", "error", "http 400", 1),
        ("down", "error", "http 503", 2),
        ("slow", "error", "timeout", 1),
    ],
)
def test_a_judge_that_fails_costs_its_rows_a_reason_and_the_night_goes_on(
    lake: Lake, database: Database, mode: str, status: str, reason: str, requests: int
) -> None:
    land(lake, DAY, [GOOD])
    retries = {"down": 1, "slow": 0, "drips": 0}.get(mode, 2)
    with running(FakeJudge(mode=mode)) as fake:
        scored = night(fake, lake, database, retries=retries, timeout_s=0.3)
    (row,) = verdicts(database).itertuples()
    assert (row.status, row.reason) == (status, reason)
    assert len(fake.bodies) == requests
    assert scored.statuses["ok"] == 1 + (status == "ok")  # the cheap scorer's row is there
    assert judged(database)["failed"] == (status == "error")
    assert judged(database)["cost_usd"] <= JUDGE.usd_per_night
    if mode in ("slow", "drips", "hangs_up", "wrong_types", "huge"):  # may have been billed
        assert judged(database)["cost_usd"] > 0


def test_an_answer_that_does_not_say_what_it_took_has_taken_the_most(
    lake: Lake, database: Database
) -> None:
    land(lake, DAY, [f"{GOOD} no {i}" for i in range(30)])
    with running(FakeJudge(mode="no_usage")) as fake:
        night(fake, lake, database, usd_per_night=Decimal("0.008"))
    assert 0 < len(fake.bodies) < 30
    assert Decimal("0.007") < judged(database)["cost_usd"] <= Decimal("0.008")


def test_a_judge_from_which_nothing_comes_back_is_given_up_for_the_night(
    lake: Lake, database: Database
) -> None:
    land(lake, DAY, [f"{GOOD} no {i}" for i in range(60)])
    with running(FakeJudge(mode="hangs_up")) as fake:
        night(fake, lake, database, retries=0)
    assert len(fake.bodies) < 25
    rows = verdicts(database)
    assert set(rows["status"]) == {"error", "skipped"} and len(rows) == 60
    assert set(rows.loc[rows["status"] == "skipped", "reason"]) == {"the judge does not answer"}


def test_equal_calls_are_asked_about_once(lake: Lake, database: Database) -> None:
    land(lake, DAY, [GOOD] * 6 + [BAD] * 3)
    with running(FakeJudge()) as fake:
        night(fake, lake, database)
        assert len(fake.bodies) == 2
    assert verdicts(database)["passed"].tolist() == [True] * 6 + [False] * 3
    assert judged(database)["cached"] == 7


def test_a_changed_rubric_is_judged_again(lake: Lake, database: Database, tmp_path: Path) -> None:
    land(lake, DAY, [GOOD])
    rubric = tmp_path / "tone.yaml"
    with running(FakeJudge()) as fake:
        for line in ("It is kind to whoever reads it.", "It is short."):
            about = {"name": "tone", "question": "Is it right in tone?"}
            rules = {"pass_when": [line], "fail_when": ["It is rude."]}
            rubric.write_text(yaml.safe_dump(about | rules))
            for _ in range(2):
                night(fake, lake, database, rubrics=(str(rubric),), anchors={})
        assert len(fake.bodies) == 2
    rows = database.table("score", PROJECT, scorer="judge:tone")
    assert len(rows) == 1  # the old version's row was replaced


def test_no_judge_at_all_is_an_error_row_each(lake: Lake, database: Database) -> None:
    land(lake, DAY, [GOOD])
    night(FakeJudge(url="http://127.0.0.1:9"), lake, database, retries=0)
    assert verdicts(database)["reason"].tolist() == ["connection: ConnectError"]


def test_hostile_text_neither_changes_the_rubric_nor_ends_its_place() -> None:
    rubric = load("correctness")
    for attack in ATTACKS:
        call = Call("t", "o", attack, attack)
        mark = mark_of(call, rubric, "secret")
        system, user = messages(call, rubric, mark)
        clean = messages(Call("t", "o", "q", "a"), rubric, mark)
        assert system == clean[0]
        assert mark not in attack and user["content"].count(f"=== end of material {mark} ===") == 1
        inside = user["content"].split(f"=== material {mark} ===")[1]
        assert "\n=== end of material 000" not in inside and '"}\n===' not in inside
        with pytest.raises(ValueError, match=r"mark|JSON"):
            read_verdict('{"mark": "none", "reason": "fine", "verdict": "pass"}', mark)


def test_a_judge_that_obeys_the_text_is_found_out_by_the_mark(
    lake: Lake, database: Database
) -> None:
    """Half of the attacks make this judge repeat their verdict; without the mark each would pass.
    What cannot be told from here is a judge that obeys and keeps the mark: the docs say so."""
    land(lake, DAY, list(ATTACKS))
    with running(FakeJudge(mode="obedient")) as fake:
        night(fake, lake, database)
    rows = verdicts(database)
    repaired = [body for body in fake.bodies if len(body["messages"]) > 2]
    assert len(repaired) >= 4
    assert len(rows) == len(ATTACKS) and not rows["passed"].eq(True).any()
    assert set(rows["status"]) <= {"ok", "error"}


def test_the_canary_tells_a_changed_judge_from_a_changed_product(
    lake: Lake, database: Database
) -> None:
    days = [DAY + timedelta(days=i) for i in range(3)]
    for day in days:
        land(lake, day, [f"{GOOD} {i}" for i in range(20)] + [f"{BAD} {i}" for i in range(5)])
    with running(FakeJudge()) as fake:
        for day in days[:2]:
            night(fake, lake, database, day, canary_calls=25)
            (found,) = canary_findings(database, PROJECT, day)
            assert found.shift.statistic == 0 and found.shift.p_value == 1
        fake.mode, fake.model = "strict_now", "judge-1-quietly-replaced"
        night(fake, lake, database, days[2], canary_calls=25)
    (found,) = canary_findings(database, PROJECT, days[2])
    assert found.shift.statistic >= 6 and found.shift.p_value < 0.05
    assert "changed its mind" in found.detail and "judge-1-quietly-replaced" in found.detail


def test_the_judges_word_is_anchored_on_people_and_uncalibrated_without(
    lake: Lake, database: Database
) -> None:
    answers = [GOOD] * 150 + [BAD] * 50
    labels = {i: i < 36 for i in range(40)} | {i: i > 178 for i in range(160, 182)}
    settings = EvalSettings(judge=JUDGE)
    with running(FakeJudge()) as fake:
        land(lake, DAY, answers)
        night(fake, lake, database, calls_per_night=300)
        windows = quality_day(lake, database, PROJECT, DAY, settings)
        row = windows[(windows["metric"] == "correct") & (windows["scope"] == "total")].iloc[0]
        assert row["method"] == "uncalibrated" and row["raw_judge_rate"] == pytest.approx(0.75)
        assert pd.isna(row["estimate"]) and "no label by people" in row["note"]
        land(lake, DAY, answers, labels=labels)
        night(fake, lake, database, calls_per_night=300)
        windows = quality_day(lake, database, PROJECT, DAY, settings)
    row = windows[(windows["metric"] == "correct") & (windows["scope"] == "total")].iloc[0]
    assert row["method"] == "ppi++" and row["n_human"] == len(labels)
    assert row["low"] < row["estimate"] < row["high"]


def test_judge_calls_are_traced_without_the_text_they_judged(
    lake: Lake, database: Database
) -> None:
    land(lake, DAY, [GOOD])
    with running(FakeJudge()) as fake:
        keys = ProjectKeys(PROJECT, "p", fake.url, "pk-lf-1", "sk-lf-1")
        night(fake, lake, database, keys=keys, trace=True)
    sent = b"".join(gzip.decompress(body) for body in fake.traces)
    assert b"judge:correctness" in sent and b"llmops-evaluation" in sent
    assert b"on its way" not in sent


def test_a_judge_without_an_address_or_with_an_unknown_rubric_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="set LLMOPS_JUDGE_BASE_URL"):
        Judge.configured(JUDGE, environ={})
    with pytest.raises(ConfigError, match="niceness is no bundled rubric"):
        load("niceness")
    assert Judge.configured(JudgeSettings(), environ={}) is None


def test_the_cap_holds_over_runs_of_the_same_night(lake: Lake, database: Database) -> None:
    land(lake, DAY, [f"{GOOD} no {i}" for i in range(60)])
    with running(FakeJudge()) as fake:
        for model in ("a", "b", "c"):  # nothing of the cache serves the next
            night(fake, lake, database, calls_per_night=20, model=model)
        assert len(fake.bodies) == 20 == judged(database)["requests"]
        fake.bodies.clear()
        land(lake, DAY + timedelta(days=1), [f"{GOOD} {i}" for i in range(60)])
        for model in ("a", "b", "c"):
            tight = Decimal("0.002")
            night(fake, lake, database, DAY + timedelta(days=1), usd_per_night=tight, model=model)
    cost = Decimal("0.000099")
    assert 0 < len(fake.bodies) * cost <= Decimal("0.002")


def test_retries_and_repairs_count_against_the_cap(lake: Lake, database: Database) -> None:
    land(lake, DAY, [f"{GOOD} no {i}" for i in range(40)])
    for mode, retries in (("down", 5), ("garbage", 0)):
        with running(FakeJudge(mode=mode)) as fake:
            night(fake, lake, database, calls_per_night=9, retries=retries, model=mode, parallel=16)
            assert len(fake.bodies) <= 9
        assert set(verdicts(database)["status"]) <= {"error", "skipped"}
        database.replace("judge_night", {"project_id": PROJECT}, pd.DataFrame())


def test_a_run_that_is_killed_has_its_spending_on_record_and_its_verdicts_kept(
    lake: Lake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmops_jobs.evals.judge import store

    land(lake, DAY, [f"{GOOD} no {i}" for i in range(30)])
    remember, kept = store.remember, list[int]()

    def killed_at_the_sixth(database: Database, answers: Any) -> None:
        kept.append(1)
        if len(kept) == 6:
            raise KeyboardInterrupt
        remember(database, answers)

    monkeypatch.setattr(store, "remember", killed_at_the_sixth)
    with running(FakeJudge()) as fake:
        with pytest.raises(KeyboardInterrupt):
            night(fake, lake, database, calls_per_night=20)
        assert 20 > judged(database)["requests"] >= len(fake.bodies) >= 6
        monkeypatch.setattr(store, "remember", remember)
        night(fake, lake, database, calls_per_night=20)
        assert len(fake.bodies) <= 20
    assert judged(database)["cached"] >= 5


def test_a_canary_is_asked_once_a_night_however_often_the_night_is_run(
    lake: Lake, database: Database
) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    with running(FakeJudge()) as fake:
        for day in days:
            land(lake, day, [f"{GOOD if i % 2 else BAD} {i}" for i in range(8)])
            night(fake, lake, database, day, canary_calls=6)
        asked = len(fake.bodies)
        before = database.table("judge_canary", PROJECT)
        night(fake, lake, database, days[1], canary_calls=6)
    assert len(fake.bodies) == asked
    pd.testing.assert_frame_equal(before, database.table("judge_canary", PROJECT))
