"""Every marked event can be found in the raw rows by a simple computation of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.replay.marks import MARKS, QUIET
from tests.demo_replay.conftest import END

Frames = Callable[..., pd.DataFrame]
KEPT = (
    "id", "traceId", "parentObservationId", "type", "name", "level", "statusMessage", "environment",
    "startTime", "endTime", "createdAt", "model", "totalCost", "totalUsage", "promptName",
    "promptVersion", "timeToFirstToken", "latency", "traceName", "input", "output",
)  # fmt: skip


@pytest.fixture(scope="module")
def half() -> Replay:
    """Less than the demo's traffic: enough to see every event, and quicker."""
    return Replay(seed=7, end=END, requests_per_day=800)


@pytest.fixture(scope="module")
def rows(half: Replay) -> Frames:
    """`rows(3, 2)`: the observations of those days before the last, with what tests look at."""

    @cache
    def one(back: int) -> pd.DataFrame:
        found = []
        for row in half.day(END - timedelta(days=back)).observations:
            kept: dict[str, Any] = {key: row[key] for key in KEPT}
            kept["ago"] = back
            kept["error"] = row["level"] == "ERROR"
            kept["provider"] = row["metadata"].get("attributes.gen_ai.provider.name", "")
            kept["asked"] = row["metadata"].get("attributes.gen_ai.request.model", "")
            kept["tenant"] = next((t[7:] for t in row["tags"] if t.startswith("tenant:")), "")
            kept["fed"] = row["usageDetails"].get("total", 0) - row["usageDetails"].get("output", 0)
            kept["is_call"] = row["type"] in ("GENERATION", "EMBEDDING")
            found.append(kept)
        return pd.DataFrame(found)

    return lambda *days: pd.concat([one(back) for back in days], ignore_index=True)


@pytest.fixture(scope="module")
def thumbs(replay: Replay) -> Callable[[str, list[int]], pd.Series]:
    """`thumbs("chat", [2, 1])`: the thumbs on one feature's traces, as 0 and 1."""

    def find(feature: str, days: list[int]) -> pd.Series:
        values = []
        for back in days:
            plan = replay.plan(END - timedelta(days=back))
            names = [FEATURE_NAMES[code] for code in plan.requests.feature.tolist()]
            of_trace = dict(zip(plan.trace_ids, names, strict=True))
            for row in replay.scores(END - timedelta(days=back)):
                mine = of_trace.get(row["subject"]["id"]) == feature
                if mine and row["name"] == "user_feedback":
                    values.append(float(row["value"]))
        return pd.Series(values)

    return find


FEATURE_NAMES = (
    "chat",
    "rag-answer",
    "extract-json",
    "summarise",
    "agent-tools",
    "embed-batch",
    "judge-helpfulness",
)


def test_a_wording_change_is_a_new_version_and_nothing_else(
    rows: Frames, thumbs: Callable[[str, list[int]], pd.Series]
) -> None:
    chat = rows(46, 45, 44).query("promptName == 'chat'")
    assert chat.groupby("ago")["promptVersion"].unique().map(list).to_dict() == {
        46: [5],
        45: [6],
        44: [6],
    }
    before, after = thumbs("chat", [48, 47, 46]), thumbs("chat", [45, 44, 43, 42])
    assert abs(before.mean() - after.mean()) < 0.1


def test_late_spans_are_created_days_after_they_ended(rows: Frames) -> None:
    seen = rows(44, 43)
    waited = pd.to_datetime(seen["createdAt"]) - pd.to_datetime(seen["endTime"])
    late = (waited > pd.Timedelta(days=1)).groupby(seen["ago"]).agg(["sum", "mean"])
    assert late.loc[44, "sum"] == 0
    assert 0.01 < late.loc[43, "mean"] < 0.08
    assert waited.max() < pd.Timedelta(days=5)


def test_duplicates_are_two_versions_with_different_costs(rows: Frames) -> None:
    seen = rows(42, 41)
    twice = seen[seen.duplicated(["traceId", "id"], keep=False)]
    assert set(twice["ago"]) == {41}
    pairs = twice.sort_values("createdAt").groupby(["traceId", "id"])
    assert 20 < len(pairs) < 100
    assert (pairs.size() == 2).all()
    assert (pairs["createdAt"].nunique() == 2).all()
    priced = twice.groupby(["traceId", "id"])["totalCost"].transform("max") > 0
    counts = twice[priced].groupby(["traceId", "id"])["totalCost"].nunique()
    assert (counts == 2).all()


def test_the_same_tokens_cost_a_quarter_more_after_the_price_change(half: Replay) -> None:
    prices: dict[int, set[str]] = {}
    for back in (39, 38):
        for row in half.day(END - timedelta(days=back)).observations:
            if row["model"] == "claude-haiku-4-5-20251001" and row["costDetails"]:
                usage, cost = row["usageDetails"], row["costDetails"]
                prices.setdefault(back, set()).add(f"{cost['output'] / usage['output']:.3e}")
    assert prices == {39: {"4.000e-06"}, 38: {"5.000e-06"}}


def test_the_retry_storm_is_one_afternoon_of_429s_at_one_provider(rows: Frames) -> None:
    calls = rows(37, 36, 35).query("is_call")
    openai = calls[calls["provider"] == "openai"]
    rate = openai.groupby("ago")["error"].mean()
    assert rate[36] > 5 * max(rate[37], rate[35])
    storm = openai[(openai["ago"] == 36) & openai["error"]]
    hour = storm["startTime"].str[11:13].astype(int)
    assert hour.between(13, 18).mean() > 0.85
    assert storm["statusMessage"].str.contains("429").mean() > 0.85
    others = calls[calls["provider"] != "openai"].groupby("ago")["error"].mean()
    assert others[36] < 2 * max(others[37], others[35])
    # Retries are siblings: more attempts per trace than on other days.
    answers = openai[openai["name"].isin(["chat-completion", "extract", "answer"])]
    attempts = answers.groupby("ago").size() / answers.groupby("ago")["traceId"].nunique()
    assert attempts[36] > attempts[37] + 0.1


def test_the_spend_spike_is_one_tenant_s_agents_on_one_day(rows: Frames) -> None:
    calls = rows(35, 34, 33).query("is_call")
    spent = calls.pivot_table(index="tenant", columns="ago", values="totalCost", aggfunc="sum")
    assert spent.loc["umbrella", 34] > 4 * spent.loc["umbrella", [35, 33]].max()
    others = spent.drop("umbrella").sum()
    assert others[34] < 1.5 * max(others[35], others[33])
    umbrella = calls[(calls["ago"] == 34) & (calls["tenant"] == "umbrella")]
    by_feature = umbrella.groupby("traceName")["totalCost"].sum()
    assert by_feature["agent-tools"] > 0.8 * by_feature.sum()


def test_the_new_error_family_is_new_and_ends(rows: Frames) -> None:
    seen = rows(33, 32, 31, 30, 29)
    found = seen[seen["statusMessage"].str.contains("account_tier")].groupby("ago").size()
    assert set(found.index) == {32, 31, 30}
    assert found.min() > 8


def test_the_outage_fails_nearly_every_call_of_a_morning(rows: Frames) -> None:
    calls = rows(30, 29).query("is_call and provider == 'gcp.gemini'")
    minute = calls["startTime"].str[11:13].astype(int) * 60 + calls["startTime"].str[14:16].astype(
        int
    )
    inside = (calls["ago"] == 29) & minute.between(9 * 60 + 20, 11 * 60 + 49)
    assert calls[inside]["error"].mean() > 0.85
    assert calls[~inside & (calls["ago"] == 29)]["error"].mean() < 0.15
    assert calls[calls["ago"] == 30]["error"].mean() < 0.1


def test_the_alias_is_answered_by_another_model(rows: Frames) -> None:
    calls = rows(28, 27, 0).query("asked == 'gemini-flash-latest' and not error")
    answered = calls.groupby("ago")["model"].unique().map(list).to_dict()
    assert answered == {
        28: ["gemini-2.5-flash"],
        27: ["gemini-3-flash-preview"],
        0: ["gemini-3-flash-preview"],
    }
    cost = calls.groupby("ago")["totalCost"].sum() / calls.groupby("ago")["totalUsage"].sum()
    assert cost[27] > 1.15 * cost[28]


def test_the_unpriced_model_appears_and_stays(rows: Frames) -> None:
    calls = rows(26, 25, 12, 0).query("model == 'aurora-1-preview' and not error")
    count = calls.groupby("ago").size()
    assert set(count.index) == {25, 12, 0}
    assert count.min() > 15
    assert calls["totalCost"].sum() == 0 and calls["totalUsage"].min() > 0


def test_the_freer_prompt_says_what_its_sources_do_not(
    rows: Frames, thumbs: Callable[[str, list[int]], pd.Series]
) -> None:
    """Counts numbers and words of the answer that the prompt's context lacks, by version."""
    seen = rows(8, 7, 6).query("promptName == 'rag-answer' and not error")
    context = seen["input"].str.lower()
    missing = [
        sum(word not in text for word in words) / max(1, len(words))
        for words, text in zip(
            seen["output"].str.lower().str.findall(r"\w{4,}|\d+"), context, strict=True
        )
    ]
    bad = (pd.Series(missing, index=seen.index) > 0.5).groupby(seen["promptVersion"]).mean()
    assert set(bad.index) == {3, 4}
    assert bad[4] > bad[3] + 0.1
    before, after = thumbs("rag-answer", [12, 11, 10, 9]), thumbs("rag-answer", [7, 6, 5, 4])
    assert after.mean() < before.mean() - 0.08


def test_one_model_is_slow_to_the_first_token_for_three_days(rows: Frames) -> None:
    calls = rows(9, 8, 7, 6, 5, 4).query("model == 'gpt-5-mini-2025-08-07'")
    median = calls.groupby("ago")["timeToFirstToken"].median()
    assert median[[7, 6, 5]].min() > 1.5 * median[[9, 8, 4]].max()


def test_the_longer_prompt_takes_more_tokens(rows: Frames) -> None:
    calls = rows(9, 8, 7, 6, 5, 4, 3, 2).query("promptName == 'summarise' and not error")
    assert (calls[calls["ago"] <= 4]["promptVersion"] == 3).mean() > 0.8
    typical = np.exp(np.log(calls["fed"]).groupby(calls["promptVersion"]).mean())
    assert 1.25 < typical[3] / typical[2] < 2


def test_questions_about_a_leak_fill_chat(rows: Frames) -> None:
    words = "password|leak|two-factor|strange mail|log in|contraseña|mot de passe|Passwort"
    roots = rows(8, 7, 6, 5, 4, 3).query("traceName == 'chat' and parentObservationId.isna()")
    of_day = roots["input"].str.contains(words).groupby(roots["ago"]).mean()
    assert of_day[[5, 4, 3]].min() > of_day[[8, 7, 6]].max() + 0.3
    leak = roots["input"].str.contains("leak").groupby(roots["ago"]).mean()
    assert leak[[5, 4, 3]].min() > 0.2 > 0.1 > leak[[8, 7, 6]].max()
    of_all = (
        roots.groupby("ago").size() / rows(8, 7, 6, 5, 4, 3).groupby("ago")["traceId"].nunique()
    )
    assert of_all[[5, 4, 3]].min() > of_all[[8, 7, 6]].max() + 0.03


def test_chat_s_thumbs_fall_without_a_new_version(
    rows: Frames, thumbs: Callable[[str, list[int]], pd.Series]
) -> None:
    before, after = thumbs("chat", [6, 5, 4, 3]), thumbs("chat", [2, 1, 0])
    assert after.mean() < before.mean() - 0.15
    versions = rows(3, 2).query("promptName == 'chat'")["promptVersion"].unique()
    assert list(versions) == [6]


def test_the_file_of_events_names_days_scopes_and_sizes(replay: Replay, tmp_path: Path) -> None:
    content = json.loads(replay.write_events(tmp_path / "new" / "events.json").read_text())
    assert content["last_day"] == str(END)
    assert [event["id"] for event in content["events"]] == [mark.id for mark in MARKS]
    for event in content["events"]:
        first, last = date.fromisoformat(event["first_day"]), date.fromisoformat(event["last_day"])
        assert replay.first_day <= first <= last <= replay.last_day
        assert event["scope"] == "total" or "=" in event["scope"]
        assert event["sentence"].endswith(".")
    assert [stretch["last_day"] for stretch in content["quiet"]] == ["2026-10-08", "2026-11-13"]


def test_nothing_begins_or_ends_in_the_quiet_stretches() -> None:
    for first, last in QUIET:
        assert first - last >= 13
        for mark in MARKS:
            assert not first >= mark.first >= last
            assert not first >= mark.last - 1 >= last or mark.last == 0


def test_a_short_replay_has_the_events_of_its_days() -> None:
    short = Replay(days=10, end=END)
    assert [event.id for event in short.events()] == [
        "prompt-regression",
        "latency-regression",
        "topic-shift",
        "token-inflation",
        "feedback-drop",
    ]
