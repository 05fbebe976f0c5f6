"""A night's comparisons from calls: which versions, which slices, how fair, how sure."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.versions.calls import PASS, STANDS_FOR, WEIGHT, Calls, Names, identity
from llmops_jobs.versions.compare import Night, compare
from llmops_jobs.versions.sequence import e_benjamini_hochberg, e_value
from llmops_jobs.versions.settings import VersionSettings
from llmops_jobs.versions.traffic import with_feedback

DAY = date(2026, 3, 29)
SETTINGS = VersionSettings()


def _calls(frame: pd.DataFrame) -> Calls:
    """Coded calls from columns; what is left out has a sensible value."""
    n, names = len(frame), Names()
    texts = {
        "prompt_name": "rag",
        "prompt_version": "1",
        "request_model": "gpt",
        "model": "gpt",
        "feature": "search",
        "tenant": "acme",
    }
    columns = {
        name: names.codes(frame.get(name, pd.Series([text] * n)).astype(str))
        for name, text in texts.items()
    }
    ago = frame.get("ago", pd.Series([0] * n))
    trace = frame.get("trace", pd.Series([f"t{i}" for i in range(n)]))
    user = frame.get("user", pd.Series([f"u{i}" for i in range(n)]))
    numbers = {"error": 0.0, "cost_usd": 0.01, "input_tokens": 100.0, "output_tokens": 10.0}
    numbers |= {"latency_s": 1.0, "time_to_first_token_s": 0.5, "hour": 12}
    columns |= {
        "day": np.array([(DAY - timedelta(days=int(a))).toordinal() for a in ago]),
        "trace": identity(trace),
        "cluster": identity(user),
        **{name: frame.get(name, pd.Series([v] * n)).to_numpy() for name, v in numbers.items()},
    }
    passed = [name for name in frame.columns if name.startswith(PASS)]
    columns |= {name: frame[name].to_numpy(dtype=float) for name in passed}
    columns[WEIGHT] = columns[STANDS_FOR] = np.ones(n)
    nothing = np.array([], dtype=np.uint64)
    return with_feedback(Calls(columns, names), nothing, nothing.astype(float))


def _arms(n_old: int, n_new: int, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"prompt_version": ["1"] * n_old + ["2"] * n_new, **columns})


def _night(frame: pd.DataFrame, first_seen: dict | None = None) -> Night:
    return compare(_calls(frame), DAY, SETTINGS, first_seen or {})


def _verdict(night: Night, metric: str, name: str = "total") -> str:
    rows = night.comparisons
    return str(rows[(rows["metric"] == metric) & (rows["slice"] == name)]["verdict"].iloc[0])


@pytest.mark.parametrize("old_runs_on", [True, False])
def test_the_higher_prompt_version_is_the_candidate_whichever_is_used_more(
    old_runs_on: bool,
) -> None:
    """Also where both were there when the window began."""
    frame = _arms(40, 400, ago=[20] * 20 + [0 if old_runs_on else 1] * 20 + [20] * 200 + [0] * 200)
    rows = _night(frame).comparisons
    assert set(zip(rows["baseline"], rows["candidate"], strict=True)) == {("1", "2")}


def test_an_older_version_that_runs_alone_again_is_nobodys_candidate() -> None:
    frame = _arms(100, 100, ago=[0] * 100 + [5] * 100)
    assert _night(frame).comparisons.empty


def test_of_two_models_the_one_that_answered_later_is_the_candidate() -> None:
    models = {"model": ["old"] * 50 + ["new"] * 200, "request_model": ["alias"] * 250}
    frame = pd.DataFrame({**models, "prompt_name": [""] * 250, "ago": [20] * 25 + [0] * 225})
    frame.loc[50:60, "ago"] = 25  # within the window, the new one seems to be older
    seen = {("alias", "old"): date(2026, 1, 1), ("alias", "new"): date(2026, 2, 1)}
    rows = _night(frame, seen).comparisons
    assert set(zip(rows["baseline"], rows["candidate"], strict=True)) == {("old", "new")}


def test_an_arm_of_few_users_decides_nothing_and_says_how_many_calls_would() -> None:
    frame = _arms(2000, 60, **{f"{PASS}ok": [1.0] * 1600 + [0.0] * 400 + [1.0] * 60})
    assert _verdict(_night(frame), f"{PASS}ok") == "better"
    frame["user"] = [f"u{i}" for i in range(2000)] + [f"v{i % 6}" for i in range(60)]
    night = _night(frame)
    assert _verdict(night, f"{PASS}ok") == "not_enough_data"
    assert night.comparisons["needed"].iloc[0] == 190  # 19 more users of ten calls each


def test_an_arm_that_appears_on_the_last_day_is_compared_without_false_alarm() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(100):
        passed = (rng.random(1550) < 0.95).astype(float)
        frame = _arms(1500, 50, ago=[3] * 1500 + [0] * 50, **{f"{PASS}ok": passed})
        alarms += _verdict(_night(frame), f"{PASS}ok") in ("better", "worse")
    assert alarms <= 5


def test_two_hundred_slices_raise_no_alarm_and_hide_no_loss() -> None:
    rng = np.random.default_rng(2)
    n = 12_000
    scorers = [f"{PASS}s{k:02}" for k in range(10)]
    frame = pd.DataFrame(
        {
            "prompt_version": rng.choice(["1", "2"], n),
            "feature": rng.choice([f"f{k:02}" for k in range(12)], n),
            "tenant": rng.choice([f"t{k:02}" for k in range(12)], n),
            **{scorer: (rng.random(n) < 0.9).astype(float) for scorer in scorers},
        }
    )
    hit = (frame["tenant"] == "t03") & (frame["prompt_version"] == "2")
    frame.loc[hit, scorers[4]] = (rng.random(int(hit.sum())) < 0.5).astype(float)
    rows = _night(frame).comparisons
    sliced = rows[rows["slice"] != "total"]
    assert len(sliced) > 200
    told = sliced[sliced["verdict"].isin(["better", "worse"])]
    assert set(zip(told["metric"], told["slice"], strict=True)) == {(scorers[4], "tenant=t03")}


def test_slices_that_stand_are_mostly_true_on_every_night_of_a_month() -> None:
    """200 slices without a difference, 5 with one; e-values read after each of 30 nights."""
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(20):
        steps = rng.normal(0, 1, (30, 205))
        steps[:, 200:] += 0.8
        z = np.cumsum(steps, axis=0) / np.sqrt(np.arange(1, 31))[:, None]
        for night in range(30):
            units = 20 * (night + 1)
            standing = e_benjamini_hochberg([e_value(v, units) for v in z[night]], 0.1)
            false, true = sum(standing[:200]), sum(standing[200:])
            shares.append(false / max(false + true, 1))
    assert np.mean(shares) <= 0.1


def test_random_assignment_is_balanced_and_needs_no_caveat() -> None:
    rng = np.random.default_rng(4)
    n = 4000
    frame = pd.DataFrame(
        {
            "prompt_version": rng.choice(["1", "2"], n),
            "tenant": rng.choice(["a", "b", "c"], n),
            "hour": rng.integers(0, 24, n),
            "ago": rng.integers(0, 14, n),
        }
    )
    night = _night(frame)
    assert set(night.balance["covariate"]) == {"feature", "tenant", "hour", "weekday"} | {
        "input_tokens"
    }
    assert night.balance["smd_before"].abs().max() < 0.15
    assert set(night.comparisons["caveat"]) == {""}


def test_assignment_that_is_not_random_is_said_with_what_is_left_after_adjustment() -> None:
    rng = np.random.default_rng(5)
    n = 4000
    new = rng.random(n) < 0.5
    frame = pd.DataFrame(
        {
            "prompt_version": np.where(new, "2", "1"),
            # The new version gets more of tenant b, and the whole of the night.
            "tenant": np.where(rng.random(n) < np.where(new, 0.7, 0.3), "b", "a"),
            "hour": np.where(new, rng.integers(0, 12, n), rng.integers(0, 24, n)),
        }
    )
    night = _night(frame)
    rows = night.balance.set_index("covariate")
    assert rows.loc["tenant", "smd_before"] == pytest.approx(0.87, abs=0.1) or rows.loc[
        "tenant", "smd_before"
    ] == pytest.approx(-0.87, abs=0.1)
    assert rows.loc["tenant", "smd_after"] == 0
    assert abs(rows.loc["hour", "smd_after"]) > 0.4
    said = night.comparisons["caveat"].iloc[0]
    assert "not assigned at random: tenant" in said
    assert "still unlike after adjustment: hour" in said


def test_votes_count_on_the_last_call_of_their_trace() -> None:
    frame = _arms(2, 2, trace=["x", "x", "y", "z"])
    traces = identity(pd.Series(["x", "z", "z", "elsewhere"]))
    calls = with_feedback(_calls(frame), traces, np.array([1.0, 0.0, 1.0, 1.0]))
    feedback = calls["positive_feedback"].tolist()
    assert feedback[1] == 1.0
    assert feedback[3] == 0.5
    assert math.isnan(feedback[0])
    assert math.isnan(feedback[2])
