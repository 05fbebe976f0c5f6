"""The daily marts of money: right sums, the same whatever the order and the split of the rows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_jobs.lake import Lake, schema
from llmops_jobs.lake.engine import engine_for
from llmops_jobs.ledger.book import load_book
from llmops_jobs.ledger.marts import cost_issues, daily_spenders, top_spenders, usage_daily
from tests.facts import DAY, PROJECT, START, facts

ENGINE = engine_for("duckdb")


def land(lake: Lake, rows: list[dict[str, object]] | pa.Table, day: date = DAY) -> None:
    table = rows if isinstance(rows, pa.Table) else facts("observations", rows)
    lake.replace_day("observations", PROJECT, day, table)
    lake.replace_day("costs", PROJECT, day, load_book().price(table))


def usage(lake: Lake, day: date = DAY) -> pd.DataFrame:
    return usage_daily(ENGINE, lake, PROJECT, [day], "hash")


def test_a_day_is_summed_by_every_dimension(lake: Lake) -> None:
    land(
        lake,
        [
            {"trace_id": "t1"},
            {"trace_id": "t1", "level": "ERROR", "input_tokens": 0, "output_tokens": 0},
            {"tenant": "globex", "prompt_version": 2},
            {"is_model_call": False, "type": "SPAN", "reported_cost_usd": Decimal(5)},
        ],
    )
    rows = usage(lake).set_index("tenant")
    assert rows.loc["acme", ["requests", "errors", "traces"]].tolist() == [2, 1, 1]
    assert rows.loc["acme", "input_tokens"] == 1000
    assert rows.loc["acme", "cost_usd"] == Decimal("0.00027")
    assert rows.loc["globex", "prompt_version"] == "2"


def test_unpriced_calls_are_a_line_of_their_own_and_named(lake: Lake) -> None:
    land(lake, [{}, {"model": "mystery", "reported_cost_usd": None}, {"input_tokens": -1}])
    rows = usage(lake).set_index(["model", "price_status"])
    assert rows.loc[("mystery", "unpriced"), "cost_usd"] == 0
    assert rows.loc[("mystery", "unpriced"), "requests"] == 1
    issues = cost_issues(ENGINE, lake, PROJECT, [DAY]).set_index("issue")
    assert issues.loc["missing_price", "model"] == "mystery"
    assert issues.loc["negative_tokens", "input_tokens"] == -1


def test_a_call_without_counts_is_counted_with_none(lake: Lake) -> None:
    counts = [name for name in schema.OBSERVATIONS.names if name.endswith("_tokens")]
    land(lake, [dict.fromkeys(counts) | {"reported_cost_usd": None}])
    (row,) = usage(lake).to_dict("records")
    assert (row["requests"], row["input_tokens"], row["audio_tokens"]) == (1, 0, 0)
    assert cost_issues(ENGINE, lake, PROJECT, [DAY])["issue"].tolist() == ["missing_usage"]


def test_an_empty_day_gives_empty_marts(lake: Lake) -> None:
    assert usage(lake).empty
    assert top_spenders(ENGINE, lake, PROJECT, [DAY], 10).empty


def test_top_spenders_are_exact_and_ties_are_ranked_by_id(lake: Lake) -> None:
    calls = [{"user_id": user, "input_tokens": 1000} for user in ("bo", "al", "cy", "cy")]
    land(lake, [*calls, {"user_id": "judge", "is_evaluation": True, "input_tokens": 10**8}])
    rows = top_spenders(ENGINE, lake, PROJECT, [DAY], 2)
    users = rows[rows["kind"] == "user"]
    assert users["subject"].tolist() == ["cy", "al"]
    assert users["share"].tolist() == [0.5, 0.25]
    assert users["requests"].tolist() == [2, 1]


def test_top_spenders_of_a_week_are_exact(lake: Lake) -> None:
    for offset, user in enumerate(["steady", "steady", "once"]):
        day = DAY + timedelta(days=offset)
        tokens = 1500 if user == "once" else 1000
        row = {"user_id": user, "start_time": START + timedelta(days=offset), "day": day}
        land(lake, [{**row, "input_tokens": tokens, "output_tokens": 0}], day)
    week = [DAY + timedelta(days=offset) for offset in range(3)]
    rows = top_spenders(ENGINE, lake, PROJECT, week, 5)
    assert rows[rows["kind"] == "user"]["subject"].tolist() == ["steady", "once"]


def test_days_taken_together_are_the_days_taken_alone(lake: Lake) -> None:
    days = [DAY + timedelta(days=offset) for offset in range(3)]
    for number, day in enumerate(days):
        start = START + timedelta(days=number)
        land(
            lake,
            [
                {"day": day, "start_time": start, "model": model, "user_id": f"u{n % (number + 1)}"}
                for n, model in enumerate(("gpt-4o", "mystery", "gpt-4o-mini", "gpt-4o"))
            ],
            day,
        )
    together = daily_spenders(ENGINE, lake, PROJECT, days, 3), _usage(lake, days)
    for day in days:
        alone = daily_spenders(ENGINE, lake, PROJECT, [day], 3), _usage(lake, [day])
        for whole, part in zip(together, alone, strict=True):
            found = whole[whole["day"] == day].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, part.reset_index(drop=True))


def _usage(lake: Lake, days: list[date]) -> pd.DataFrame:
    return usage_daily(ENGINE, lake, PROJECT, days, "hash")


_CALL = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["gpt-4o", "gpt-4o-mini", "mystery", ""]),
        "tenant": st.sampled_from(["acme", "globex", ""]),
        "user_id": st.sampled_from(["u1", "u2", ""]),
        "level": st.sampled_from(["DEFAULT", "ERROR"]),
        "input_tokens": st.none() | st.integers(-5, 10**6),
        "output_tokens": st.none() | st.integers(0, 10**5),
        "cache_read_tokens": st.none() | st.integers(0, 10**6),
        "reported_cost_usd": st.none() | st.decimals(0, 9, places=12),
        "is_evaluation": st.booleans(),
    }
)


@given(calls=st.lists(_CALL, min_size=1, max_size=12), data=st.data())
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_and_any_split_of_the_rows_gives_the_same_marts(
    tmp_path_factory: object, calls: list[dict[str, object]], data: st.DataObject
) -> None:
    named = [
        {**call, "trace_id": f"t{i % 4}", "observation_id": f"o{i}"} for i, call in enumerate(calls)
    ]
    shuffled = data.draw(st.permutations(named))
    cut = data.draw(st.integers(0, len(named)))
    root: Path = tmp_path_factory.mktemp("lake")  # type: ignore[attr-defined]
    whole, split = Lake(str(root / "whole")), Lake(str(root / "split"))
    land(whole, named)
    parts = [facts("observations", part) for part in (shuffled[:cut], shuffled[cut:])]
    for _ in range(2):  # and run again
        split.replace_day("observations", PROJECT, DAY, pa.concat_tables(parts))
        prices = _concat([load_book().price(part) for part in parts])
        split.replace_day("costs", PROJECT, DAY, prices)
    for mart in (usage, _issues, _spenders):
        pd.testing.assert_frame_equal(_sorted(mart(whole)), _sorted(mart(split)))


def _concat(parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([part for part in parts if part.num_rows], promote_options="permissive")


def _issues(lake: Lake) -> pd.DataFrame:
    return cost_issues(ENGINE, lake, PROJECT, [DAY])


def _spenders(lake: Lake) -> pd.DataFrame:
    return top_spenders(ENGINE, lake, PROJECT, [DAY], 50)


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    keys = [name for name in rows.columns if rows[name].map(lambda v: isinstance(v, str)).all()]
    return rows.sort_values([*keys, *rows.columns.difference(keys)]).reset_index(drop=True)
