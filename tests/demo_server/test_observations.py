"""GET /v2/observations, without need of recordings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.demo_server.conftest import Open, call, every_page

CORE = {"id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type"}
ALWAYS = {"latency", "timeToFirstToken", "modelId", "inputPrice", "outputPrice", "totalPrice"}
BASIC = {
    "name", "level", "statusMessage", "version", "environment", "userId", "sessionId",
    "isRootObservation", "bookmarked", "public",
}  # fmt: skip
ALL = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"


def ids(pages: list[list[dict[str, Any]]]) -> list[str]:
    return [row["id"] for page in pages for row in page]


def test_core_and_basic_are_what_is_shown_when_nothing_is_asked_for(opened: Open) -> None:
    _, client = opened([call(1)])
    row = client.get("v2/observations").json()["data"][0]
    assert set(row) == CORE | BASIC | ALWAYS
    assert (row["latency"], row["modelId"], row["statusMessage"]) == (1.5, None, "")


def test_all_groups_show_forty_eight_keys_with_money_as_numbers_and_prices_as_text(
    opened: Open,
) -> None:
    _, client = opened([call(1, inputPrice="2.5e-6", modelId="m")])
    row = client.get("v2/observations", params={"fields": ALL}).json()["data"][0]
    assert len(row) == 48
    assert row["usageDetails"] == {"input": 100, "output": 20, "total": 120}
    assert (row["totalCost"], row["inputCost"], row["totalUsage"]) == (0.75, 0.25, 120)
    assert row["inputPrice"] == "2.5e-6"


def test_a_misspelt_group_leaves_core_alone(opened: Open) -> None:
    _, client = opened([call(1)])
    row = client.get("v2/observations", params={"fields": "core,basics"}).json()["data"][0]
    assert set(row) == CORE | ALWAYS


def test_pages_have_every_row_once_newest_first_with_ties_across_pages(opened: Open) -> None:
    same = "2026-11-20T10:00:00.000Z"
    rows = [call(n, start=same if n % 3 else "") for n in range(300)]
    rows += [call(1000 + n, start=f"2026-11-{19 - n % 5}T12:00:00.000Z") for n in range(100)]
    _, client = opened(rows)
    pages = every_page(client, "v2/observations", limit=7)
    starts = [row["startTime"] for page in pages for row in page]
    assert sorted(ids(pages)) == sorted(row["id"] for row in rows)
    assert starts == sorted(starts, reverse=True)
    assert len(pages) == 400 // 7 + 1
    assert ids(every_page(client, "v2/observations", limit=100)) == ids(pages)


def test_a_page_that_ends_with_the_last_row_has_no_cursor(opened: Open) -> None:
    _, client = opened([call(n) for n in range(4)])
    assert "cursor" in client.get("v2/observations?limit=3").json()["meta"]
    assert client.get("v2/observations?limit=4").json()["meta"] == {}
    assert client.get("v2/observations?limit=0").json() == {"data": [], "meta": {}}


def test_the_window_has_its_beginning_and_not_its_end(opened: Open) -> None:
    _, client = opened([call(n) for n in range(24)])
    window = {"fromStartTime": "2026-11-20T03:00:00Z", "toStartTime": "2026-11-20T05:00:00Z"}
    assert ids(every_page(client, "v2/observations", **window)) == ["obs-0004", "obs-0003"]
    shifted = {
        "fromStartTime": "2026-11-20T05:00:00+02:00",
        "toStartTime": "2026-11-20T07:00:00+02:00",
    }
    assert ids(every_page(client, "v2/observations", **shifted)) == ["obs-0004", "obs-0003"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"level": "ERROR"}, ["obs-0002"]),
        ({"type": "SPAN"}, ["obs-0003"]),
        ({"environment": ["staging", "test"]}, ["obs-0001"]),
        ({"traceId": "trace-0000"}, ["obs-0001", "obs-0000"]),
        ({"parentObservationId": "obs-0000"}, ["obs-0001"]),
        ({"parentObservationId": ""}, ["obs-0003", "obs-0002", "obs-0000"]),
        ({"isRootObservation": "false"}, ["obs-0001"]),
        ({"userId": "nobody"}, []),
        ({"bogus": "1", "page": "9"}, ["obs-0003", "obs-0002", "obs-0001", "obs-0000"]),
    ],
)
def test_a_parameter_chooses_rows(opened: Open, query: Any, expected: list[str]) -> None:
    _, client = opened(
        [
            call(0),
            call(1, environment="staging", parentObservationId="obs-0000"),
            call(2, level="ERROR"),
            call(3, type="SPAN"),
        ]
    )
    assert ids(every_page(client, "v2/observations", **query)) == expected


def condition(kind: str, column: str, operator: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "column": column, "operator": operator, "value": value, **more}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([condition("string", "name", "contains", "ha")], "012"),
        ([condition("string", "name", "does not contain", "ha")], "3"),
        ([condition("string", "name", "starts with", "emb")], "3"),
        ([condition("stringOptions", "id", "any of", ["obs-0001", "obs-0003"])], "13"),
        ([condition("stringOptions", "id", "none of", ["obs-0001", "obs-0003"])], "02"),
        ([condition("arrayOptions", "tags", "all of", ["a", "b"])], "1"),
        ([condition("arrayOptions", "tags", "any of", ["a"])], "01"),
        ([condition("arrayOptions", "tags", "none of", ["a"])], "23"),
        ([condition("number", "totalCost", ">", 0.75)], "2"),
        ([condition("number", "totalTokens", "<=", 120)], "0123"),
        ([condition("number", "latency", ">=", 1.5)], "0123"),
        ([condition("datetime", "endTime", ">=", "2026-11-20T02:00:00Z")], "23"),
        ([condition("stringObject", "metadata", "=", "acme", key="tenant")], ""),
        ([condition("stringObject", "metadata", "=", '"acme"', key="tenant")], "0"),
        ([condition("stringObject", "metadata", "contains", "acme", key="tenant")], "0"),
        ([condition("stringObject", "metadata", "=", "2", key="retry")], "1"),
        ([condition("numberObject", "metadata", ">", 1, key="retry")], "1"),
        ([condition("booleanObject", "metadata", "=", True, key="beta")], "2"),
        ([condition("boolean", "isRootObservation", "=", True)], "0123"),
        ([condition("null", "promptName", "is not null", "")], "3"),
        ([condition("string", "input", "matches", "REFUND order")], "2"),
        ([condition("string", "level", "=", "DEFAULT"),
          condition("null", "promptName", "is null", "")], "012"),
    ],
)  # fmt: skip
def test_a_filter_chooses_rows(opened: Open, conditions: Any, expected: str) -> None:
    _, client = opened(
        [
            call(0, tags=["a"], metadata={"tenant": "acme"}),
            call(1, tags=["a", "b"], metadata={"retry": 2}),
            call(2, totalCost=2, metadata={"beta": True}, input="where is my refund of order 7"),
            call(3, name="embed", promptName="p"),
        ]
    )
    found = ids(every_page(client, "v2/observations", filter=json.dumps(conditions)))
    assert sorted(found) == [f"obs-000{digit}" for digit in expected]


def test_a_filter_on_start_time_cancels_both_time_parameters(opened: Open) -> None:
    _, client = opened([call(n) for n in range(10)])
    window = {"fromStartTime": "2026-11-20T03:00:00Z", "toStartTime": "2026-11-20T05:00:00Z"}
    wide = [condition("datetime", "startTime", ">=", "2026-11-20T00:00:00Z")]
    assert len(ids(every_page(client, "v2/observations", filter=json.dumps(wide), **window))) == 10
    other = [condition("datetime", "endTime", ">=", "2026-11-20T00:00:00Z")]
    assert len(ids(every_page(client, "v2/observations", filter=json.dumps(other), **window))) == 2


@pytest.mark.parametrize(
    ("filter_text", "words"),
    [
        ("{", "Invalid JSON in filter parameter"),
        ("{}", "expected array"),
        ('[{"type":"colour"}]', "Invalid input"),
        ('[{"type":"string","column":"createdAt","operator":"=","value":"x"}]', "createdAt"),
        ('[{"type":"string","column":"name","operator":"~","value":"x"}]', "Invalid option"),
        ('[{"type":"number","column":"latency","operator":">","value":"1"}]', "expected number"),
        ('[{"type":"stringObject","column":"metadata","operator":"=","value":"1"}]', "string"),
        ('[{"type":"string","column":"input","operator":"contains","value":"a"}]', "matches"),
    ],
)
def test_a_wrong_filter_is_refused_in_words(opened: Open, filter_text: str, words: str) -> None:
    _, client = opened([call(1)])
    answer = client.get("v2/observations", params={"filter": filter_text})
    assert answer.status_code == 400
    assert words in answer.text


def test_long_metadata_is_cut_to_two_hundred_characters_unless_it_is_named(opened: Open) -> None:
    _, client = opened([call(1, metadata={"long": "x" * 300, "n": 7, "short": "y"})])
    ask = {"fields": "core,metadata"}
    cut = client.get("v2/observations", params=ask).json()["data"][0]["metadata"]
    assert cut == {"long": '"' + "x" * 199, "n": 7, "short": "y"}
    for more in ({"expandMetadata": "long"}, {"fields": "core,metadata,io"}):
        row = client.get("v2/observations", params={**ask, **more}).json()["data"][0]
        assert row["metadata"]["long"] == "x" * 300


def test_time_to_first_token_needs_its_group(opened: Open) -> None:
    _, client = opened([call(1, completionStartTime="2026-11-20T01:00:00.250Z")])
    for fields, expected in (("core", None), ("core,metrics", 0.25), ("core,time", 0.25)):
        row = client.get("v2/observations", params={"fields": fields}).json()["data"][0]
        assert row["timeToFirstToken"] == expected


def test_rows_that_come_late_are_not_there_before_the_clock_says_so(opened: Open) -> None:
    server, client = opened([call(1), call(2, createdAt="2026-11-22T00:00:00.000Z")])
    control = f"{server.url}/_standin/clock"
    client.post(control, json={"now": "2026-11-21T00:20:00Z"})
    assert ids(every_page(client, "v2/observations")) == ["obs-0001"]
    client.post(control, json={"now": "2026-11-22T00:20:00Z"})
    assert ids(every_page(client, "v2/observations")) == ["obs-0002", "obs-0001"]
    client.post(control, json={"now": None})
    assert client.get(control).json() == {"now": None}


def test_the_source_may_change_between_requests(opened: Open) -> None:
    server, client = opened([call(1)])
    source = server.state.source
    source.add([call(2), {**call(1), "totalCost": 9, "updatedAt": "2026-11-21T00:00:00.000Z"}])
    rows = client.get("v2/observations?fields=usage").json()["data"]
    assert [(row["id"], row["totalCost"]) for row in rows] == [
        ("obs-0002", 0.75),
        ("obs-0001", 9),
        ("obs-0001", 0.75),
    ]
    source.remove("obs-0001")
    assert ids(every_page(client, "v2/observations")) == ["obs-0002"]
    source.replace()
    assert ids(every_page(client, "v2/observations")) == []


def test_a_deleted_trace_is_gone(opened: Open) -> None:
    _, client = opened([call(1), call(9)])
    client.delete("traces/trace-0000")
    assert ids(every_page(client, "v2/observations")) == ["obs-0009"]
