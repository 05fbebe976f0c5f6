"""Prompts, models, configs, queues, datasets, experiments: a project's own data."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_jobs.demo.server.prompts import prompt_version
from tests.demo_server.conftest import Open, every_page

QUESTION = "Answer {{question}}."


def prompts(*labels: list[str]) -> dict[str, Any]:
    """One prompt; a version for each list of labels."""
    versions = [
        prompt_version(
            "answer", place, QUESTION, labels=names, createdAt="2026-11-01T00:00:00.000Z"
        )
        for place, names in enumerate(labels, 1)
    ]
    return {"prompts": versions[::-1]}


def test_a_prompt_is_found_by_label_version_or_as_the_one_in_production(opened: Open) -> None:
    _, client = opened(things=prompts(["production"], ["staging", "latest"]))
    for query, version in (("", 1), ("?label=staging", 2), ("?version=2", 2), ("?label=latest", 2)):
        found = client.get(f"v2/prompts/answer{query}").json()
        assert (found["version"], found["prompt"]) == (version, QUESTION)
    assert client.get("v2/prompts/answer?version=9").status_code == 404
    assert client.get("v2/prompts/answer?version=1&label=x").status_code == 400


def test_a_label_moves_from_one_version_to_another_and_none_is_lost(opened: Open) -> None:
    _, client = opened(things=prompts(["production"], ["staging", "latest"]))
    moved = client.patch("v2/prompts/answer/versions/2", json={"newLabels": ["production"]})
    assert moved.status_code == 200
    assert set(moved.json()["labels"]) == {"production", "staging", "latest"}
    assert client.get("v2/prompts/answer").json()["version"] == 2
    assert client.get("v2/prompts/answer?version=1").json()["labels"] == []
    listed = client.get("v2/prompts?name=answer").json()
    assert listed["data"][0]["versions"] == [1, 2]
    assert listed["data"][0]["lastUpdatedAt"] > "2026-11-01T00:00:00.000Z"
    assert listed["meta"]["totalItems"] == 1


@pytest.mark.parametrize(
    ("version", "labels", "status"),
    [("2", ["latest"], 400), ("9", ["production"], 404), ("2", "production", 400)],
)
def test_a_wrong_move_is_refused(opened: Open, version: str, labels: Any, status: int) -> None:
    _, client = opened(things=prompts(["production"], []))
    answer = client.patch(f"v2/prompts/answer/versions/{version}", json={"newLabels": labels})
    assert answer.status_code == status
    assert client.get("v2/prompts/answer").json()["version"] == 1


def test_a_protected_label_stays_where_it_is(opened: Open) -> None:
    _, client = opened(
        things=prompts(["production"], ["staging"]), protected_labels=frozenset({"production"})
    )
    answer = client.patch("v2/prompts/answer/versions/2", json={"newLabels": ["production"]})
    assert answer.status_code == 403
    assert "protected label" in answer.json()["message"]
    assert client.get("v2/prompts/answer").json()["version"] == 1
    other = client.patch("v2/prompts/answer/versions/1", json={"newLabels": ["staging"]})
    assert other.status_code == 200


def test_a_new_version_takes_latest_and_the_labels_it_asks_for(opened: Open) -> None:
    _, client = opened(things=prompts(["production", "latest"]))
    body = {"name": "answer", "prompt": "Shorter.", "labels": ["production"], "type": "text"}
    created = client.post("v2/prompts", json=body)
    assert (created.status_code, created.json()["version"]) == (201, 2)
    assert client.get("v2/prompts/answer").json()["prompt"] == "Shorter."
    assert client.get("v2/prompts/answer?version=1").json()["labels"] == []
    assert client.post("v2/prompts", json={**body, "type": "chat"}).status_code == 400


def test_a_prompt_in_a_folder_has_its_slashes_in_the_path(opened: Open) -> None:
    things = {"prompts": [prompt_version("team/answer", 1, QUESTION, labels=["production"])]}
    _, client = opened(things=things)
    assert client.get("v2/prompts/team%2Fanswer").json()["name"] == "team/answer"
    moved = client.patch("v2/prompts/team%2Fanswer/versions/1", json={"newLabels": ["x"]})
    assert moved.json()["labels"] == ["x", "production"]


def test_an_item_goes_through_an_annotation_queue(opened: Open) -> None:
    _, client = opened()
    config = client.post("score-configs", json={"name": "correct", "dataType": "BOOLEAN"}).json()
    assert [c["value"] for c in config["categories"]] == [1, 0]
    body = {"name": "review", "scoreConfigIds": [config["id"]]}
    queue = client.post("annotation-queues", json=body).json()
    assert client.post("annotation-queues", json=body).status_code == 400
    wrong = {"name": "other", "scoreConfigIds": ["nope"]}
    assert client.post("annotation-queues", json=wrong).status_code == 400
    items = f"annotation-queues/{queue['id']}/items"
    item = client.post(items, json={"objectId": "obs-1", "objectType": "OBSERVATION"}).json()
    assert (item["status"], item["completedAt"], item["queueId"]) == ("PENDING", None, queue["id"])
    assert client.get(f"{items}?status=PENDING").json()["data"] == [item]
    done = client.patch(f"{items}/{item['id']}", json={"status": "COMPLETED"}).json()
    assert done["completedAt"]
    assert client.get(f"{items}?status=PENDING").json()["meta"]["totalItems"] == 0
    assert client.post(items, json={"objectId": "x", "objectType": "CAT"}).status_code == 400
    assert client.delete(f"{items}/{item['id']}").json()["success"] is True
    assert client.get(f"{items}/{item['id']}").status_code == 404
    assert client.get("annotation-queues/nope/items").status_code == 404


def test_a_dataset_is_made_filled_and_changed_by_its_name(opened: Open) -> None:
    _, client = opened()
    first = client.post("v2/datasets", json={"name": "golden"}).json()
    again = client.post("v2/datasets", json={"name": "golden", "description": "d"}).json()
    assert (again["id"], again["description"]) == (first["id"], "d")
    item = {"id": "i1", "datasetName": "golden", "input": {"q": 1}, "expectedOutput": "a"}
    client.post("dataset-items", json=item)
    client.post("dataset-items", json={**item, "expectedOutput": "b"})
    listed = client.get("dataset-items?datasetName=golden").json()
    assert [row["expectedOutput"] for row in listed["data"]] == ["b"]
    assert client.get("dataset-items/i1").json()["datasetId"] == first["id"]
    assert client.post("dataset-items", json={**item, "datasetName": "x"}).status_code == 404


def test_a_comment_is_listed_with_what_it_is_on(opened: Open) -> None:
    _, client = opened()
    for trace in ("a", "b"):
        body = {"objectType": "TRACE", "objectId": trace, "content": "look"}
        client.post("comments", json=body)
    listed = client.get("comments?objectType=TRACE&objectId=b").json()
    assert [row["objectId"] for row in listed["data"]] == ["b"]
    assert client.get("comments?objectId=b").status_code == 400


def test_pages_are_counted_from_one(opened: Open) -> None:
    _, client = opened()
    two = client.get("models?limit=2&page=2").json()
    assert (len(two["data"]), two["meta"]["totalItems"], two["meta"]["totalPages"]) == (1, 3, 2)
    assert client.get("models?page=0").status_code == 400
    assert client.get("models?limit=101").status_code == 400
    first = client.get("models").json()["data"][0]
    assert client.get(f"models/{first['id']}").json() == first
    assert client.get("models/nope").status_code == 404


def item(run: str, place: int, at: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{run}-{place}", "traceId": f"t-{run}-{place}", "startTime": at, "endTime": at,
        "experimentId": run, "experimentName": f"run {run}", "experimentItemId": f"item-{place}",
        **more,
    }  # fmt: skip


def test_experiments_are_told_from_their_items_within_the_range(opened: Open) -> None:
    score = {"id": "s", "name": "accuracy", "dataType": "NUMERIC", "value": 1}
    items = [
        item("a", 1, "2026-11-01T10:00:00.000Z", scores=[score]),
        item("a", 2, "2026-11-03T10:00:00.000Z"),
        item("b", 1, "2026-11-02T10:00:00.000Z", experimentDatasetId="d"),
    ]
    _, client = opened(things={"experiment-items": items})
    window = {"fromStartTime": "2026-11-01T00:00:00Z"}
    runs = client.get("experiments", params=window).json()
    assert [(run["id"], run["itemCount"]) for run in runs["data"]] == [("a", 2), ("b", 1)]
    assert "scores" not in runs["data"][0]
    clipped = client.get("experiments", params={"fromStartTime": "2026-11-02T00:00:00Z"}).json()
    assert [(run["id"], run["itemCount"]) for run in clipped["data"]] == [("a", 1), ("b", 1)]
    pages = every_page(client, "experiment-items", **window, limit=1, fields="core,scores")
    assert [row["id"] for page in pages for row in page] == ["a-2", "b-1", "a-1"]
    assert pages[2][0]["scores"] == [score]
    named = {**window, "experimentName": "run b", "fields": "core,dataset"}
    found = client.get("experiment-items", params=named).json()["data"]
    assert [row["experimentDatasetId"] for row in found] == ["d"]
    assert client.get("experiments").status_code == 400
    assert client.get("experiments", params={**window, "fields": "io"}).status_code == 400
