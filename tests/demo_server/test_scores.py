"""Scores: read, written, written again, deleted."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.demo_server.conftest import Open, every_page, thumb

FIELDS = "core,details,subject,annotation"


def score(client: httpx.Client, score_id: str) -> dict[str, Any]:
    found = client.get("v3/scores", params={"id": score_id, "fields": FIELDS}).json()["data"]
    assert len(found) == 1
    return dict(found[0])


def test_core_is_what_is_shown_when_nothing_is_asked_for(opened: Open) -> None:
    _, client = opened(scores=[thumb(0)])
    answer = client.get("v3/scores").json()
    assert answer["meta"] == {"limit": 50}
    assert set(answer["data"][0]) == {
        "id", "projectId", "name", "source", "timestamp", "environment", "createdAt", "updatedAt",
        "dataType", "value",
    }  # fmt: skip


def test_pages_have_every_score_once(opened: Open) -> None:
    rows = [thumb(n, timestamp="2026-11-20T10:00:00.000Z") for n in range(150)]
    rows += [thumb(1000 + n) for n in range(100)]
    _, client = opened(scores=rows)
    pages = every_page(client, "v3/scores", limit=33)
    found = [row["id"] for page in pages for row in page]
    assert sorted(found) == sorted(row["id"] for row in rows)
    assert len(set(found)) == 250


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "user_feedback,other"}, "01"),
        ({"dataType": "numeric"}, "2"),
        ({"dataType": "BOOLEAN", "value": "true"}, "0"),
        ({"dataType": "NUMERIC", "valueMin": "3", "valueMax": "4.5"}, "2"),
        ({"source": "ANNOTATION"}, "3"),
        ({"traceId": "trace-0001"}, "13"),
        ({"traceId": "trace-0001", "observationId": "o"}, "3"),
        ({"sessionId": "s"}, "2"),
        ({"fromTimestamp": "2026-11-20T01:30:00Z", "toTimestamp": "2026-11-20T02:30:00Z"}, "1"),
        ({"fromTimestamp": "2026-11-21"}, ""),
    ],
)
def test_a_parameter_chooses_scores(opened: Open, query: Any, expected: str) -> None:
    on_observation = {"kind": "observation", "id": "o", "traceId": "trace-0001"}
    _, client = opened(
        scores=[
            thumb(0),
            thumb(1),
            thumb(2, name="rating", dataType="NUMERIC", value=4,
                  subject={"kind": "session", "id": "s"}),
            thumb(3, name="correct", source="ANNOTATION", subject=on_observation),
        ]
    )  # fmt: skip
    pages = every_page(client, "v3/scores", **query)
    found = sorted(row["id"] for page in pages for row in page)
    assert found == [f"score-000{digit}" for digit in expected]


@pytest.mark.parametrize("query", ["bogus=1", "source=MOON", "limit=0", "valueMin=3", "cursor=e30"])
def test_a_wrong_parameter_is_refused(opened: Open, query: str) -> None:
    _, client = opened(scores=[thumb(0)])
    assert client.get(f"v3/scores?{query}").status_code == 400


BODY = {"id": "s1", "name": "judge", "value": 0.5, "traceId": "t", "dataType": "NUMERIC"}


def test_an_old_server_takes_one_score_and_stamps_it_now(opened: Open) -> None:
    _, client = opened(version="4.58.9")
    answer = client.post("scores", json={**BODY, "timestamp": "2026-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()) == (200, {"id": "s1"})
    assert score(client, "s1")["timestamp"] > "2026-02"
    assert client.post("scores", json=[BODY]).status_code == 400


def test_a_new_server_takes_a_list_and_says_which_it_refused(opened: Open) -> None:
    _, client = opened(version="4.59.0")
    assert client.post("scores", json=BODY).status_code == 400
    dated = {**BODY, "timestamp": "2026-01-01T00:00:00Z"}
    answer = client.post("scores", json=[dated])
    assert (answer.status_code, answer.json()) == (202, {"message": "Accepted"})
    assert score(client, "s1")["timestamp"] == "2026-01-01T00:00:00.000Z"
    answer = client.post("scores", json=[{**BODY, "id": "s2"}, {**BODY, "id": "s3", "value": "x"}])
    assert answer.status_code == 207
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["errors"][0]["id"] == "s3"


def event(**body: Any) -> dict[str, Any]:
    return {
        "id": f"event-{body.get('id')}",
        "type": "score-create",
        "timestamp": body.pop("at", "2026-11-19T12:00:00Z"),
        "body": {**BODY, **body},
    }


def test_ingestion_dates_a_score_by_its_event_and_answers_for_each(opened: Open) -> None:
    _, client = opened()
    batch = [event(id="a"), event(id="b", value="words"), {"id": "t", "type": "trace-create"}]
    answer = client.post("ingestion", json={"batch": batch})
    assert answer.status_code == 207
    assert answer.json()["successes"] == [{"id": "event-a", "status": 201}]
    assert [error["status"] for error in answer.json()["errors"]] == [400, 400]
    assert score(client, "a")["timestamp"] == "2026-11-19T12:00:00.000Z"


def test_a_score_sent_again_is_one_row_with_the_later_value_and_the_first_time(
    opened: Open,
) -> None:
    _, client = opened()
    for value, at in ((0.1, "12:00"), (0.9, "13:00"), (0.4, "11:00")):
        sent = event(id="a", value=value, at=f"2026-11-19T{at}:00Z")
        client.post("ingestion", json={"batch": [sent]})
    found = score(client, "a")
    assert (found["value"], found["timestamp"]) == (0.9, "2026-11-19T12:00:00.000Z")


def test_a_score_that_disagrees_with_its_config_is_acknowledged_and_lost(opened: Open) -> None:
    _, client = opened()
    config = client.post(
        "score-configs",
        json={"name": "judge", "dataType": "NUMERIC", "minValue": 0, "maxValue": 1},
    ).json()
    for score_id, change in (
        ("good", {"configId": config["id"]}),
        ("outside", {"configId": config["id"], "value": 7}),
        ("unknown", {"configId": "nope"}),
    ):
        assert client.post("scores", json={**BODY, "id": score_id, **change}).status_code == 200
    found = [row["id"] for page in every_page(client, "v3/scores") for row in page]
    assert found == ["good"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"value": None},
        {"value": True},
        {"dataType": "VECTOR"},
        {"traceId": None},
        {"sessionId": "s"},
        {"source": "EVAL"},
        {"environment": "langfuse-own"},
        {"dataType": "TEXT", "value": "x" * 501},
    ],
)
def test_a_wrong_score_is_refused(opened: Open, change: Any) -> None:
    _, client = opened()
    body = {key: value for key, value in {**BODY, **change}.items() if value is not None}
    assert client.post("scores", json=body).status_code == 400
    assert every_page(client, "v3/scores") == [[]]


def test_a_posted_score_hides_the_one_it_replaces_and_a_deleted_one_is_gone(opened: Open) -> None:
    _, client = opened(scores=[thumb(0), thumb(1)])
    client.post("scores", json={**BODY, "id": "score-0000"})
    assert score(client, "score-0000")["name"] == "judge"
    assert client.delete("scores/score-0001").status_code == 202
    found = [row["id"] for page in every_page(client, "v3/scores") for row in page]
    assert found == ["score-0000"]


def test_two_versions_of_a_score_are_read_as_the_newer(opened: Open) -> None:
    newer = thumb(0, value=False, updatedAt="2026-11-22T00:00:00.000Z")
    _, client = opened(scores=[thumb(0), newer, thumb(0)])
    assert [row["value"] for row in client.get("v3/scores").json()["data"]] == [False]


def test_a_score_can_be_read_only_a_while_after_it_was_acknowledged(opened: Open) -> None:
    _, client = opened(write_delay_seconds=0.2)
    assert client.post("scores", json=BODY).status_code == 200
    assert every_page(client, "v3/scores") == [[]]
    time.sleep(0.25)
    assert score(client, "s1")["value"] == 0.5
