"""Annotation queues: finding one by name, and putting observations before people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.client import Client

_QUEUES = "/api/public/annotation-queues"


def find_queue(client: Client, name_or_id: str) -> tuple[str, str]:
    """(id, name) of a queue. Raises SourceError that lists the queues there are."""
    queues = list(_pages(client, _QUEUES))
    for queue in queues:
        if name_or_id in (queue["id"], queue["name"]):
            return str(queue["id"]), str(queue["name"])
    names = ", ".join(sorted(str(queue["name"]) for queue in queues)) or "none"
    raise SourceError(
        f"{client.keys.base_url} has no annotation queue {name_or_id!r}; there are: {names}. "
        "Create it in Langfuse under Human Annotation"
    )


def queued_objects(client: Client, queue_id: str) -> set[str]:
    """Ids of everything that the queue holds, labelled or not."""
    return {str(item["objectId"]) for item in _pages(client, f"{_QUEUES}/{queue_id}/items")}


def enqueue(client: Client, queue_id: str, observation_id: str) -> str:
    """Puts an observation into a queue; returns the item's id."""
    body = json.dumps({"objectId": observation_id, "objectType": "OBSERVATION"}).encode()
    answer = client.post(f"{_QUEUES}/{queue_id}/items", body, orjson.loads)
    return str(answer["id"])


def _pages(client: Client, path: str) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        answer = client.json(path, [("page", str(page)), ("limit", "100")])
        yield from answer["data"]
        if page >= int(answer["meta"]["totalPages"]):
            return
        page += 1
