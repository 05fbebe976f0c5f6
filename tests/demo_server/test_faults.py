"""Every fault shows as what it is named after, and only as often as it was told to."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import httpx
import pytest

from llmops_jobs.demo.server.faults import KINDS, Fault, Faults
from tests.demo_server.conftest import Open, call, every_page

ALL = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"
ASK: dict[str, Any] = {"fields": ALL, "limit": 10}
CHECKED: set[str] = set()


def faulty(opened: Open, kind: str, **options: Any) -> httpx.Client:
    CHECKED.add(kind)
    server, client = opened([call(n) for n in range(24)])
    told = client.post(f"{server.url}/_standin/faults", json=[{"kind": kind, **options}])
    assert told.status_code == 200
    return client


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("unauthorized", 401, "Invalid credentials"),
        ("forbidden", 403, "insufficient permissions"),
        ("old_server", 404, "only available in a Langfuse v4 write mode"),
        ("timeout_422", 422, "Request timed out"),
        ("rate_limited", 429, "rate_limited"),
        ("server_error", 500, "Internal Server Error"),
        ("bad_gateway", 502, "<html>"),
        ("unavailable", 503, "Service Unavailable"),
        ("html_page", 200, "<html>"),
    ],
)
def test_another_answer_is_given_once_and_then_the_right_one(
    opened: Open, kind: str, status: int, words: str
) -> None:
    client = faulty(opened, kind, first=2, last=2, seconds=90)
    answers = [client.get("v2/observations") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, status, 200]
    assert words in answers[1].text
    if kind == "rate_limited":
        assert answers[1].headers["retry-after"] == "90"


def test_a_connection_is_dropped_before_a_word_is_said(opened: Open) -> None:
    client = faulty(opened, "dropped_connection", last=1)
    with pytest.raises(httpx.TransportError):
        client.get("v2/observations")
    assert client.get("v2/observations").status_code == 200


def test_a_page_breaks_off_in_the_middle(opened: Open) -> None:
    client = faulty(opened, "half_page")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("v2/observations", params=ASK)


def test_a_page_arrives_whole_but_its_json_is_cut(opened: Open) -> None:
    client = faulty(opened, "cut_json")
    answer = client.get("v2/observations", params=ASK)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_compressed_page_is_cut_short(opened: Open) -> None:
    client = faulty(opened, "truncated_gzip")
    with client.stream("GET", "v2/observations", params=ASK) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        raw = b"".join(answer.iter_raw())
    assert raw.startswith(b"\x1f\x8b")
    assert len(raw) == int(answer.headers["content-length"])
    with pytest.raises(EOFError):
        __import__("gzip").decompress(raw)


def test_a_page_drips(opened: Open) -> None:
    client = faulty(opened, "slow_drip", seconds=0.2, last=1)
    began = time.monotonic()
    answer = client.get("v2/observations", params=ASK)
    assert len(answer.json()["data"]) == 10
    assert time.monotonic() - began > 0.15


def test_a_cursor_is_given_again_and_again(opened: Open) -> None:
    client = faulty(opened, "repeated_cursor")
    first = client.get("v2/observations", params=ASK).json()["meta"]["cursor"]
    second = client.get("v2/observations", params={**ASK, "cursor": first}).json()
    assert second["meta"]["cursor"] == first


def test_a_cursor_goes_round_in_a_circle(opened: Open) -> None:
    client = faulty(opened, "looping_cursor")
    cursors: list[str] = []
    for _ in range(6):
        ask = {**ASK, "limit": 5, **({"cursor": cursors[-1]} if cursors else {})}
        cursors.append(client.get("v2/observations", params=ask).json()["meta"]["cursor"])
    assert len(set(cursors)) == 2
    assert cursors[0] != cursors[1]


def test_rows_are_seen_again_behind_the_cursor_or_before_their_turn(opened: Open) -> None:
    client = faulty(opened, "rows_behind", first=2, last=2)
    pages = every_page(client, "v2/observations", **ASK)
    assert [len(page) for page in pages] == [10, 13, 4]
    assert pages[1][:3] == pages[0][-3:]
    client = faulty(opened, "rows_ahead", first=1, last=1)
    pages = every_page(client, "v2/observations", **ASK)
    assert [len(page) for page in pages] == [13, 10, 4]
    assert pages[0][-3:] == pages[1][:3]


def test_a_row_comes_twice_with_another_cost(opened: Open) -> None:
    client = faulty(opened, "duplicates")
    rows = [row for page in every_page(client, "v2/observations", **ASK) for row in page]
    twice = [row for row in rows if row["id"] == rows[0]["id"]]
    assert [row["totalCost"] for row in twice] == [0.75, 1.5]
    assert twice[0]["updatedAt"] < twice[1]["updatedAt"]
    assert len(rows) == 24 + 5


@pytest.mark.parametrize(
    ("kind", "key", "expected"),
    [
        ("nulls", "name", None),
        ("empty_strings", "type", ""),
        ("epoch_zero", "startTime", "1970-01-01T00:00:00.000Z"),
        ("year_2200", "endTime", "2200-01-01T00:00:00.000Z"),
        ("negative_tokens", "totalUsage", -7),
        ("unknown_enums", "level", "CATASTROPHE"),
        ("unknown_fields", "carbonGrams", 1.5),
    ],
)
def test_every_fifth_row_is_spoiled(opened: Open, kind: str, key: str, expected: Any) -> None:
    client = faulty(opened, kind)
    rows = client.get("v2/observations", params=ASK).json()["data"]
    assert [row[key] for row in (rows[0], rows[5])] == [expected, expected]
    assert all(row.get(key) != expected for row in rows if row not in (rows[0], rows[5]))
    assert all(row["id"] for row in rows)


def test_tokens_are_not_a_number_in_the_bare_way_that_is_no_json(opened: Open) -> None:
    client = faulty(opened, "nan_tokens", every=10)
    text = client.get("v2/observations", params=ASK).text
    assert '"total": NaN' in text
    assert math.isnan(json.loads(text)["data"][0]["totalCost"])


def test_an_input_has_five_megabytes(opened: Open) -> None:
    client = faulty(opened, "huge_input", every=10)
    rows = client.get("v2/observations", params=ASK).json()["data"]
    assert [len(row["input"] or "") for row in rows] == [5 * 2**20, *[0] * 9]


def test_text_has_characters_of_every_plane(opened: Open) -> None:
    client = faulty(opened, "unicode")
    row = client.get("v2/observations", params=ASK).json()["data"][0]
    assert {ord(character) >> 16 for character in row["name"]} == set(range(17))
    assert "\x00" in row["input"]


def test_a_score_is_acknowledged_and_lost(opened: Open) -> None:
    client = faulty(opened, "lost_write", last=1)
    for score_id in ("lost", "kept"):
        body = {"id": score_id, "name": "judge", "value": 1, "traceId": "t"}
        assert client.post("scores", json=body).json() == {"id": score_id}
    assert [row["id"] for page in every_page(client, "v3/scores") for row in page] == ["kept"]


def test_every_fault_was_tried_above(request: pytest.FixtureRequest) -> None:
    if len(request.session.items) < 20:
        pytest.skip("only when the whole file runs")
    assert set(KINDS) == CHECKED


def test_a_fault_counts_only_the_requests_it_is_meant_for() -> None:
    faults = Faults()
    faults.set([Fault("server_error", path="/v3/scores", first=2, last=3)])
    struck = [bool(faults.striking("GET", "/api/public/v3/scores?limit=1")) for _ in range(4)]
    assert struck == [False, True, True, False]
    assert not faults.striking("POST", "/api/public/v3/scores")
    assert not faults.striking("GET", "/api/public/v2/observations")
    assert faults.described()[0]["struck"] == 2


def test_an_unknown_fault_is_refused_with_the_names_there_are(opened: Open) -> None:
    server, client = opened()
    answer = client.post(f"{server.url}/_standin/faults", json=["gremlins"])
    assert answer.status_code == 400
    assert "half_page" in answer.json()["message"]


def test_faults_can_be_taken_back(opened: Open) -> None:
    client = faulty(opened, "server_error")
    control = str(client.base_url).replace("/api/public/", "/_standin/faults")
    assert client.get("v2/observations").status_code == 500
    assert client.get(control).json()[0]["struck"] == 1
    client.delete(control)
    assert client.get("v2/observations").status_code == 200
