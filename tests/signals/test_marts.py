"""From the lake to the tables of the database, by the nightly steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.deployment import Deployment
from llmops_jobs.signals import bias, checks, histogram, nightly
from tests.facts import DAY, PROJECT, facts
from tests.signals.world import call, deployment, land, land_scores, root, vote

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path, no_langfuse: None) -> Deployment:
    return deployment(tmp_path)


def night(home: Deployment, *days: date) -> None:
    batch = days or (DAY,)
    for step in (
        nightly.write_outcomes,
        nightly.write_latency,
        nightly.write_errors,
        nightly.write_feedback,
        nightly.write_unit_cost,
    ):
        assert [day for day, _ in step(home, PROJECT, batch)] == list(batch)


def only(frame: pd.DataFrame, **equal: Any) -> pd.Series:
    for name, value in equal.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def test_a_retry_that_recovers_is_one_logical_call_of_two_attempts(home: Deployment) -> None:
    failed = {"level": "ERROR", "status_message": "Error code: 429 - rate limit reached for x"}
    land(home, [root("t"), call("t", at=0, **failed), call("t", at=2), root("u"), call("u")])
    night(home)
    rows = home.database.table("error_daily")
    error = only(rows, error_type="rate_limit")
    assert (error.requests, error.errors) == (1, 1)
    assert (error.logical_calls, error.attempts, error.recovered) == (1, 2, 1)
    fine = only(rows, error_type="")
    assert (fine.requests, fine.logical_calls, fine.attempts, fine.recovered) == (2, 1, 1, 0)
    outcomes = home.lake.read_day("outcomes", PROJECT, DAY).to_pandas()
    retry = only(outcomes, observation_id="t/call@2")
    assert (retry.logical_call_id, retry.attempt, retry.is_final) == ("t/call@0", 2, True)
    hourly = only(home.database.table("rate_limit_hourly"), hour=12)
    assert (hourly.requests, hourly.rate_limited) == (3, 1)
    assert hourly.share_low < 1 / 3 < hourly.share_high


def test_every_wasted_call_has_one_reason_and_reasons_add_up(home: Deployment) -> None:
    error = {"level": "ERROR", "status_message": "Internal server error"}
    schema = {"level": "ERROR", "status_message": "JSONDecodeError: Expecting value: line 1"}
    land(
        home,
        [
            *(root(trace) for trace in "abcd"),
            call("a", at=0, cost=Decimal("0.5"), **error),
            call("b", at=0, cost=Decimal("0.25"), **schema),
            call("c", at=0, cost=Decimal("0.125"), finish_reason="max_tokens"),
            call("d", at=0, cost=Decimal("0.0625")),
            call("d", "other", at=1, cost=None, **error),
        ],
    )
    land_scores(home, [vote("c", 0.0), vote("d", 0.0)])
    night(home)
    waste = home.database.table("waste_daily").set_index("waste_reason")["wasted_usd"].to_dict()
    assert waste == {
        "failed": Decimal("0.5"),
        "schema_invalid": Decimal("0.25"),
        "truncated": Decimal("0.125"),
        "user_rejected": Decimal("0.0625"),
    }
    assert home.database.table("error_daily")["wasted_usd"].sum() == sum(waste.values())


def test_what_providers_call_cut_off_is_truncated(home: Deployment) -> None:
    cut = ("length", "MAX_TOKENS", "FinishReason.MAX_TOKENS", "max-tokens", "max_output_tokens")
    reasons = (*cut, "stop", "end_turn", "tool_calls", "SAFETY", "")
    land(
        home,
        [
            row
            for i, reason in enumerate(reasons)
            for row in (root(f"t{i}"), call(f"t{i}", at=0, finish_reason=reason))
        ],
    )
    night(home)
    outcomes = home.lake.read_day("outcomes", PROJECT, DAY).to_pandas().set_index("trace_id")
    found = {reasons[int(trace[1:])] for trace in outcomes.index[outcomes.waste_reason != ""]}
    assert found == set(cut)


def test_attempts_that_metadata_states_are_taken(home: Deployment) -> None:
    land(home, [root("t"), call("t", at=0), call("t", at=400)])
    said = [
        {"trace_id": "t", "observation_id": f"t/call@{at}", "metadata": f'{{"retry_count": {n}}}'}
        for n, at in enumerate((0, 400))
    ]
    home.lake.replace_day("observation_text", PROJECT, DAY, facts("observation_text", said))
    night(home)
    outcomes = home.lake.read_day("outcomes", PROJECT, DAY).to_pandas()
    first = only(outcomes, observation_id="t/call@0")
    assert (first.attempts, first.is_final, first.waste_reason) == (2, False, "superseded")


def test_percentiles_are_exact_and_histograms_near(home: Deployment) -> None:
    generator = np.random.default_rng(4)
    seconds = generator.lognormal(0.5, 0.8, 400)
    tokens = generator.integers(1, 900, 400)
    land(
        home,
        [
            call(f"t{n}", seconds=float(s), output_tokens=int(k), is_root=True)
            for n, (s, k) in enumerate(zip(seconds, tokens, strict=True))
        ],
    )
    night(home)
    daily = home.database.table("latency_daily")
    buckets = home.database.table("latency_histogram")
    for metric, values in {"latency": seconds, "tokens_per_second": tokens / seconds}.items():
        row = only(daily, level="observation", metric=metric)
        mine = buckets[(buckets["level"] == "observation") & (buckets["metric"] == metric)]
        assert row.n == mine["n"].sum() == 400
        for q in (0.5, 0.9, 0.95, 0.99):
            exact = np.quantile(values, q)
            assert row[f"p{q * 100:g}"] == pytest.approx(exact, rel=1e-9)
            assert histogram.quantile(mine, q) == pytest.approx(exact, rel=0.01)
            assert row[f"p{q * 100:g}_low"] <= exact
        assert row.p50 <= row.p50_high < row.p95_high
        assert np.isnan(row.p99_high) or row.p99_high >= row.p99


def test_a_trace_is_measured_end_to_end_with_the_dimensions_of_its_root(home: Deployment) -> None:
    rows = [
        root("t", 3.0, feature="rag", environment="staging"),
        call("t", "embed", at=0.2, seconds=0.1, type="EMBEDDING", model="e", feature="rag",
             output_tokens=0, time_to_first_token_s=None),
        call("t", "answer", at=0.5, seconds=4.0, model="big", prompt_name="p", prompt_version=7,
             feature="rag", output_tokens=90),
        call("t", "late", at=4.9, seconds=0.1, model="big", level="ERROR", feature="rag"),
    ]  # fmt: skip
    first_token = rows[2]["start_time"] + timedelta(seconds=0.75)
    land(
        home,
        [{**row} for row in rows[:2]]
        + [{**rows[2], "completion_start_time": first_token}, rows[3]],
    )
    night(home)
    traces = home.database.table("latency_daily", level="trace")
    row = only(traces, metric="latency")
    assert row.p50 == pytest.approx(5.0)
    assert (row.feature, row.environment, row.model) == ("rag", "staging", "big")
    assert (row.prompt_name, row.prompt_version) == ("p", "7")
    assert only(traces, metric="time_to_first_token").p50 == pytest.approx(1.25)
    assert only(traces, metric="tokens_per_second").p50 == pytest.approx((90 + 200) / 5)


def test_what_a_trace_does_after_midnight_is_no_trace_of_the_next_day(home: Deployment) -> None:
    tail = call("t", "late", at=-43_000, day=NEXT, is_root=False)
    orphan = call("without-root", at=3, day=NEXT)
    land(home, [root("t"), call("t"), tail, orphan])
    night(home, DAY, NEXT)
    together = home.database.table("latency_daily", level="trace", metric="latency")
    assert together.groupby("day")["n"].sum().to_dict() == {DAY: 1, NEXT: 1}
    night(home, NEXT)
    alone = home.database.table("latency_daily", level="trace", metric="latency")
    pd.testing.assert_frame_equal(together, alone)
    assert home.database.table("trace_daily").groupby("day")["traces"].sum().to_dict() == {
        DAY: 1,
        NEXT: 1,
    }


def test_strange_durations_make_no_strange_numbers(home: Deployment) -> None:
    rows = [
        call("zero", seconds=0.0, output_tokens=5),
        call("backwards", seconds=-2.0),
        call("open", latency_s=None, end_time=None, time_to_first_token_s=None),
        call("nan", latency_s=float("nan"), time_to_first_token_s=float("inf")),
        call("silent", seconds=1e-15, output_tokens=0, time_to_first_token_s=None),
    ]
    land(home, rows)
    night(home)
    daily = home.database.table("latency_daily", level="observation")
    latency = only(daily, metric="latency")
    assert latency.n == 3
    assert latency.p50 == pytest.approx(0.0, abs=1e-12)
    assert only(daily, metric="time_to_first_token").n == 2
    assert "tokens_per_second" not in set(daily["metric"])
    assert not checks.calls_not_measured(home, [DAY])


def test_a_late_vote_brings_the_day_of_what_it_rates_up_to_date(home: Deployment) -> None:
    land(home, [row for n in range(10) for row in (root(f"t{n}"), call(f"t{n}"))])
    land_scores(home, [vote("t0", 1.0), vote("t1", 0.0)])
    land_scores(home, [vote("t2", 1.0, day=NEXT), vote("nowhere", 1.0, day=NEXT)])
    night(home, DAY)
    before = only(home.database.table("feedback_daily"))
    assert (before.n, before.positive, before.rate) == (2, 1, 0.5)
    assert dict(nightly.write_feedback(home, PROJECT, [NEXT]))[NEXT]["unknown_traces"] == 1
    after = only(home.database.table("feedback_daily"))
    assert (after.day, after.n, after.positive) == (DAY, 3, 2)
    assert (after.traces, after.response_rate) == (10, 0.3)
    # A re-run of the earlier day alone forgets nothing; the past can still be told apart.
    night(home, DAY)
    pd.testing.assert_series_equal(only(home.database.table("feedback_daily")), after)
    given = home.database.table("feedback_given")
    assert given[given["given_day"] <= DAY]["n"].sum() == 2


def test_no_vote_is_no_no(home: Deployment) -> None:
    land(home, [row for n in range(50) for row in (root(f"t{n}"), call(f"t{n}"))])
    land_scores(home, [vote("t0", 1.0)])
    night(home)
    row = only(home.database.table("feedback_daily"))
    assert (row.n, row.rate, row.response_rate) == (1, 1.0, 0.02)


def test_stars_thumbs_and_categories_are_read_and_sources_kept_apart(home: Deployment) -> None:
    land(home, [row for n in range(9) for row in (root(f"t{n}"), call(f"t{n}"))])
    stars = {"name": "rating", "data_type": "NUMERIC"}
    issue = {"name": "issue", "data_type": "CATEGORICAL"}
    land_scores(
        home,
        [
            *(vote(f"t{n}", float(value), **stars) for n, value in enumerate((1, 3, 4, 5))),
            vote("t0", None, **issue, string_value="Thumbs up"),  # type: ignore[arg-type]
            vote("t1", None, **issue, string_value="too slow", number=1),  # type: ignore[arg-type]
            vote("t2", 1.0, source="ANNOTATION", number=2),
            vote("t2", 0.0, number=3),
            vote("t3", 0.9, source="EVAL", number=4),
            vote("t4", None, name="comment", data_type="TEXT", string_value="secret words"),  # type: ignore[arg-type]
        ],
    )
    night(home)
    rows = home.database.table("feedback_daily")
    rating = only(rows, score_name="rating")
    assert (rating.n, rating.positive, rating.negative) == (4, 2, 1)
    assert (rating.rate, rating.mean_value) == (0.5, 3.25)
    assert only(rows, score_name="issue").positive == 1
    assert only(rows, score_name="user_feedback", source="API").rate == 0.0
    assert only(rows, score_name="user_feedback", source="ANNOTATION").rate == 1.0
    text = only(rows, score_name="comment")
    assert text.n == 1
    assert text.rate is None or np.isnan(text.rate)
    assert "EVAL" not in set(rows["source"])
    labels = home.database.table("feedback_label_daily")
    assert set(labels["label"]) == {"Thumbs up", "too slow"}


def test_a_rated_call_keeps_its_own_dimensions(home: Deployment) -> None:
    land(home, [root("t"), call("t", at=0, model="small"), call("t", at=2, model="big")])
    rated = {"subject_kind": "observation", "observation_id": "t/call@0"}
    land_scores(home, [vote("t", 1.0, **rated), vote("t", 1.0, number=1)])
    night(home)
    rows = home.database.table("feedback_daily")
    assert set(rows["model"]) == {"small", "big"}


def test_small_cells_are_shrunk_to_the_rate_of_all(home: Deployment) -> None:
    rows: list[dict[str, Any]] = []
    scores = []
    for tenant, (n, good) in {"a": (200, 180), "b": (200, 120), "c": (2, 0)}.items():
        for k in range(n):
            trace = f"{tenant}{k}"
            rows += [root(trace, tenant=tenant), call(trace, tenant=tenant)]
            scores.append(vote(trace, float(k < good)))
    land(home, rows)
    land_scores(home, scores)
    night(home)
    found = home.database.table("feedback_daily").set_index("tenant")
    pooled = 300 / 402
    assert found.loc["c", "rate"] == 0
    assert 0.5 < found.loc["c", "shrunk_rate"] < pooled
    assert abs(found.loc["a", "shrunk_rate"] - 0.9) < 0.02


def test_raters_who_are_not_like_the_others_are_noticed(home: Deployment) -> None:
    generator = np.random.default_rng(8)
    rows: list[dict[str, Any]] = []
    slow = []
    for n in range(400):
        seconds = float(generator.lognormal(0, 0.5))
        rows.append(call(f"t{n}", seconds=seconds, is_root=True))
        if seconds > 1.2:
            slow.append(f"t{n}")
    land(home, rows)
    land_scores(home, [vote(trace) for trace in slow[:60]] + [vote(slow[60], day=NEXT)])
    night(home, DAY, NEXT)
    found = home.database.table("feedback_bias").set_index("trait")
    seconds_ = np.array([row["latency_s"] for row in rows])
    rated = np.isin([row["trace_id"] for row in rows], slow[:61])
    logs = np.log(seconds_)
    pooled = np.sqrt((logs[rated].var(ddof=1) + logs[~rated].var(ddof=1)) / 2)
    latency = found.loc["latency_s"]
    assert (latency.rated, latency.unrated) == (61, 339)
    expected = (logs[rated].mean() - logs[~rated].mean()) / pooled
    assert latency.difference == pytest.approx(expected, rel=1e-4)
    assert latency.matters
    assert latency.low < latency.difference < latency.high
    assert not found["matters"].get("output_tokens", False)
    over = bias.over(home.database, PROJECT, DAY, NEXT).set_index("trait")
    assert over.loc["latency_s", "difference"] == pytest.approx(latency.difference)


def test_outcomes_have_a_price(home: Deployment) -> None:
    rows: list[dict[str, Any]] = []
    for n in range(20):
        extra = {"session_id": f"s{n // 4}", "feature": "chat" if n < 12 else "search"}
        rows += [root(f"t{n}", **extra), call(f"t{n}", cost=Decimal("0.02"), **extra)]
    rows.append(call("t0", "again", at=2, level="ERROR", cost=Decimal("0.10")))
    judge = {"is_evaluation": True, "environment": "langfuse-llm-as-a-judge"}
    rows += [root("judge", **judge), call("judge", cost=Decimal(5), **judge)]
    land(home, rows)
    land_scores(home, [vote("t0"), vote("t1"), vote("t13"), vote("t2", 0.0)])
    passed = pd.DataFrame(
        [
            {"trace_id": f"t{n}", "observation_id": f"t{n}/call@0", "scorer": "json",
             "scorer_version": "1", "passed": n != 3, "status": "ok", "reason": "", "label": "",
             "cost_usd": Decimal(0), "inclusion_probability": 0.5}
            for n in range(8)
        ]
    )  # fmt: skip
    home.database.replace_day("score", PROJECT, DAY, passed)
    night(home)
    rows_ = home.database.table("unit_cost_daily")
    spend = Decimal("0.50")
    for unit, n in {
        "successful_request": 20,
        "positive_feedback": 3,
        "passed_evaluation": 14,
        "session": 5,
    }.items():
        row = only(rows_, scope="total", unit=unit)
        assert (row.n, row.cost_usd) == (n, spend)
        assert row.usd_per_unit == pytest.approx(0.5 / n)
        assert row.low < row.usd_per_unit
    search = only(rows_, scope="feature=search", unit="positive_feedback")
    assert (search.n, search.cost_usd) == (1, Decimal("0.16"))
    assert np.isnan(search.high)
    overhead = only(rows_, scope="is_evaluation=true", unit="successful_request")
    assert overhead.cost_usd == 5
    assert "environment=langfuse-llm-as-a-judge" not in set(rows_["scope"])


def test_a_new_family_is_seen_once_and_on_its_first_day(home: Deployment) -> None:
    old = {"level": "ERROR", "status_message": "Request timed out after 30 s"}
    new = {"level": "ERROR", "status_message": "The engine is currently overloaded"}
    later = NEXT + timedelta(days=1)
    land(home, [call("a", **old), call("b", day=NEXT, **old), call("c", day=NEXT, **new)])
    land(home, [call("d", day=later, **new)])
    steps: Sequence[Callable[..., Any]] = (nightly.write_outcomes, nightly.write_errors)
    told: dict[date, Any] = {}
    for order in ((DAY, NEXT, later), (later, DAY, NEXT), (NEXT,)):
        for day in order:
            for step in steps:
                told |= dict(step(home, PROJECT, [day]))
        families = home.database.table("error_family").set_index("error_type")
        if order == (NEXT,):
            assert told[NEXT]["new_families"] == 1
        assert families.loc["timeout", ["first_seen", "last_seen"]].tolist() == [DAY, NEXT]
        assert families.loc["provider_5xx", ["first_seen", "last_seen"]].tolist() == [NEXT, later]
        assert families.loc["provider_5xx", "example_trace_id"] == "c"


def test_a_day_without_rows_leaves_no_rows(home: Deployment) -> None:
    land(home, [call("t", level="ERROR", status_message="x")])
    land_scores(home, [vote("t")])
    night(home)
    land(home, [])
    home.lake.replace_day("observations", PROJECT, DAY, facts("observations", []))
    home.lake.replace_day("costs", PROJECT, DAY, facts("costs", []))
    home.lake.replace_day("scores", PROJECT, DAY, facts("scores", []))
    night(home)
    for table in ("latency_daily", "latency_histogram", "error_daily", "error_family",
                  "waste_daily", "feedback_daily", "unit_cost_daily", "trace_daily"):  # fmt: skip
        assert home.database.table(table).empty, table


def test_checks_see_a_call_that_is_missing(home: Deployment) -> None:
    land(home, [root("t"), call("t", at=0), call("t", at=2)])
    night(home)
    find = (checks.calls_without_outcome, checks.calls_not_measured, checks.calls_not_counted)
    assert [check(home, [DAY]) for check in find] == [[], [], []]
    land(home, [root("t"), call("t", at=0), call("t", at=2), call("t", at=4)])
    assert [len(check(home, [DAY])) for check in find] == [1, 1, 1]
