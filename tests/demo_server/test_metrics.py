"""GET /v2/metrics against numbers counted by hand."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.demo_server.conftest import Open, call, thumb

WINDOW = {"fromTimestamp": "2026-11-18T00:00:00Z", "toTimestamp": "2026-11-21T23:59:59.999Z"}


def ask(client: httpx.Client, *metrics: str, **more: Any) -> list[dict[str, Any]]:
    answer = asked(client, *metrics, **more)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def asked(client: httpx.Client, *metrics: str, by: Any = (), **more: Any) -> httpx.Response:
    """Metrics as "sum totalCost"."""
    pairs = (metric.split() for metric in metrics)
    query = {
        "view": "observations",
        "metrics": [{"aggregation": how, "measure": measure} for how, measure in pairs],
        "dimensions": [{"field": field} for field in by],
        "filters": [],
        **WINDOW,
        **more,
    }
    return client.get("v2/metrics", params={"query": json.dumps(query)})


def day(unit: str = "day") -> dict[str, str]:
    return {"granularity": unit}


def test_totals_are_those_of_the_rows_duplicates_counted_twice(opened: Open) -> None:
    _, client = opened([call(n) for n in range(10)] + [call(0)])
    row = ask(client, "count count", "sum totalCost", "sum totalTokens", "uniq traceId")[0]
    assert row == {
        "count_count": 11,
        "sum_totalCost": 8.25,
        "sum_totalTokens": 1320,
        "uniq_traceId": 5,
    }


def test_the_end_is_within_the_window_here(opened: Open) -> None:
    _, client = opened([call(1, start="2026-11-21T00:00:00.000Z")])
    ends = {"toTimestamp": "2026-11-21T00:00:00Z"}
    assert ask(client, "count count", **ends)[0]["count_count"] == 1
    ends = {"toTimestamp": "2026-11-20T23:59:59.999Z"}
    assert ask(client, "count count", **ends)[0]["count_count"] == 0


def test_empty_days_are_filled_with_a_row_of_nothing(opened: Open) -> None:
    _, client = opened([call(1)])
    rows = ask(
        client, "sum totalCost", "sum totalTokens", "count count",
        by=["providedModelName", "level"], timeDimension=day(),
    )  # fmt: skip
    assert [row["time_dimension"] for row in rows] == ["2026-11-18", "2026-11-19", "2026-11-20"]
    assert rows[0] == {
        "providedModelName": None, "level": "", "time_dimension": "2026-11-18",
        "sum_totalCost": None, "sum_totalTokens": 0, "count_count": 0,
    }  # fmt: skip
    assert (rows[2]["providedModelName"], rows[2]["sum_totalCost"]) == ("gpt-4o", 0.75)


@pytest.mark.parametrize(
    ("unit", "first", "rows"),
    [
        ("hour", "2026-11-18T00:00:00Z", 95),
        ("4h", "2026-11-18T00:00:00Z", 23),
        ("week", "2026-11-16", 1),
        ("month", "2026-11-01", 1),
        ("auto", "2026-11-18", 3),
    ],
)
def test_buckets_have_the_asked_width(opened: Open, unit: str, first: str, rows: int) -> None:
    _, client = opened([call(1)])
    found = ask(client, "count count", timeDimension=day(unit), config={"row_limit": 1000})
    assert (found[0]["time_dimension"], len(found)) == (first, rows)
    assert sum(row["count_count"] for row in found) == 1


def test_a_hundred_rows_are_given_unless_more_are_asked_for_and_the_newest_are_cut(
    opened: Open,
) -> None:
    _, client = opened([call(n, model=f"m{n}") for n in range(150)])
    by = {"by": ["providedModelName"], "timeDimension": day()}
    assert len(ask(client, "count count", **by)) == 100
    assert len(ask(client, "count count", **by, config={"row_limit": 1000})) == 152


def test_without_time_the_largest_comes_first(opened: Open) -> None:
    _, client = opened([call(n, promptName="a" if n < 3 else "b") for n in range(10)])
    rows = ask(client, "count count", by=["promptName"])
    assert [(row["promptName"], row["count_count"]) for row in rows] == [("b", 7), ("a", 3)]


def test_latency_is_in_milliseconds_and_its_percentiles_are_interpolated(opened: Open) -> None:
    rows = [
        call(n, start="2026-11-20T01:00:00.000Z", end=f"2026-11-20T01:00:{n:02d}.000Z")
        for n in range(1, 12)
    ]
    _, client = opened(rows)
    found = ask(client, "p50 latency", "p95 latency", "max latency", "avg latency")[0]
    assert found == {
        "p50_latency": 6000,
        "p95_latency": 10500,
        "max_latency": 11000,
        "avg_latency": 6000,
    }


def test_cost_and_usage_are_told_by_their_kinds(opened: Open) -> None:
    _, client = opened([call(n) for n in range(4)])
    rows = ask(client, "sum costByType", by=["costType"])
    assert {row["costType"]: row["sum_costByType"] for row in rows} == {
        "input": 1,
        "output": 2,
        "total": 3,
    }
    rows = ask(client, "sum usageByType", by=["usageType"])
    assert {row["usageType"]: row["sum_usageByType"] for row in rows}["input"] == 400


def test_scores_are_counted_with_the_calls_they_are_on(opened: Open) -> None:
    _, client = opened([call(0), call(1), call(5)], [thumb(0), thumb(7)])
    rows = ask(client, "sum countScores", by=["traceName"])
    assert rows == [{"traceName": None, "sum_countScores": 2}]


def test_filters_choose_rows(opened: Open) -> None:
    _, client = opened([call(n, tags=["a"] if n else [], model=f"m{n}") for n in range(3)])
    for conditions, expected in (
        ([{"type": "string", "column": "providedModelName", "operator": "=", "value": "m1"}], 1),
        (
            [{"type": "stringOptions", "column": "type", "operator": "none of",
              "value": ["SPAN"]}],
            3,
        ),
        ([{"type": "arrayOptions", "column": "tags", "operator": "any of", "value": ["a"]}], 2),
        ([{"type": "null", "column": "userId", "operator": "is null", "value": ""}], 3),
        (
            [{"type": "datetime", "column": "startTime", "operator": ">=",
              "value": "2026-11-20T01:00:00Z"}],
            2,
        ),
    ):  # fmt: skip
        assert ask(client, "count count", filters=conditions)[0]["count_count"] == expected


def test_feedback_is_counted_and_averaged_booleans_among_the_numbers(opened: Open) -> None:
    rating = thumb(9, name="rating", dataType="NUMERIC", value=4)
    topic = thumb(8, name="topic", dataType="CATEGORICAL", value="billing")
    _, client = opened(scores=[*(thumb(n) for n in range(4)), rating, topic])
    rows = ask(client, "avg value", "count count", by=["name"], view="scores-numeric")
    assert rows == [
        {"name": "rating", "avg_value": 4, "count_count": 1},
        {"name": "user_feedback", "avg_value": 0.5, "count_count": 4},
    ]
    rows = ask(client, "count count", by=["name", "stringValue"], view="scores-categorical")
    assert rows == [{"name": "topic", "stringValue": "billing", "count_count": 1}]
    client.post("ingestion", json={"batch": [{
        "id": "e", "type": "score-create", "timestamp": "2026-11-20T12:00:00Z",
        "body": {"id": "new", "name": "rating", "value": 2, "traceId": "t"},
    }]})  # fmt: skip
    rows = ask(client, "avg value", by=["name"], view="scores-numeric")
    assert rows[0] == {"name": "rating", "avg_value": 3}


def test_what_is_not_there_yet_is_not_counted(opened: Open) -> None:
    _, client = opened(
        [call(1), call(2, createdAt="2026-11-25T00:00:00.000Z")], clock="2026-11-24T00:00:00.000Z"
    )
    assert ask(client, "count count")[0]["count_count"] == 1


def test_the_highest_spenders_need_a_limit_and_an_order(opened: Open) -> None:
    _, client = opened([call(n, userId=f"u{n % 3}") for n in range(5)])
    assert asked(client, "sum totalCost", by=["userId"]).status_code == 400
    top = {
        "orderBy": [{"field": "sum_totalCost", "direction": "desc"}],
        "config": {"row_limit": 2},
    }
    rows = ask(client, "sum totalCost", by=["userId"], **top)
    assert [row["userId"] for row in rows] in (["u0", "u1"], ["u1", "u0"])
    assert (
        asked(client, "sum totalCost", by=["userId"], timeDimension=day(), **top).status_code == 400
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"view": "traces"}, "scores-numeric"),
        ({"dimensions": [{"field": "shoeSize"}]}, "Invalid dimension shoeSize"),
        ({"metrics": [{"measure": "count", "aggregation": "mode"}]}, "Invalid option"),
        ({"metrics": [{"measure": "traceId", "aggregation": "sum"}]}, "count,uniq"),
        ({"metrics": "count"}, "expected array"),
        ({"fromTimestamp": "2026-11-18"}, "Invalid ISO datetime"),
        ({"toTimestamp": "2026-11-17T00:00:00Z"}, "before toTimestamp"),
        ({"config": {"row_limit": 0}}, "Too small"),
        ({"timeDimension": {"granularity": "fortnight"}}, "Invalid option"),
        ({"orderBy": [{"field": "x", "direction": "asc"}]}, "Invalid orderBy field"),
        ({"filters": [{"type": "string", "column": "x", "operator": "=", "value": ""}]}, "x"),
    ],
)
def test_a_wrong_question_is_refused(opened: Open, change: Any, words: str) -> None:
    _, client = opened([call(1)])
    metrics = [{"measure": "count", "aggregation": "count"}]
    query = {"view": "observations", "metrics": metrics, **WINDOW, **change}
    answer = client.get("v2/metrics", params={"query": json.dumps(query)})
    assert answer.status_code == 400
    assert words in answer.text
