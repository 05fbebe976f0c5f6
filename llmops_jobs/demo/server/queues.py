"""Annotation queues and their items."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import (
    bad_option,
    invalid,
    kind_of,
    not_found,
    refused,
    wrong_type,
)
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.things import page, stamped, text_field
from llmops_jobs.demo.server.times import now

OBJECTS = ("TRACE", "OBSERVATION", "SESSION")
STATUSES = ("PENDING", "COMPLETED")
QUEUE = ("id", "name", "description", "scoreConfigIds", "createdAt", "updatedAt")
ITEM = (
    "id", "queueId", "objectId", "objectType", "status", "completedAt", "createdAt", "updatedAt",
)  # fmt: skip


async def queues(state: State, request: Request) -> Response:
    found = [_shown(row, QUEUE) for row in state.things["annotation-queues"]]
    return Json(page(found, request.query_params))


async def queue(state: State, request: Request) -> Response:
    return Json(_shown(_queue(state, request), QUEUE))


async def create_queue(state: State, request: Request) -> Response:
    body = await text_field(request, "name")
    wanted = body.get("scoreConfigIds")
    if not isinstance(wanted, list):
        raise invalid(wrong_type(["scoreConfigIds"], "array", kind_of(wanted)))
    known = {config["id"] for config in state.things["score-configs"]}
    if not set(wanted) <= known:
        raise refused("At least one of the score config IDs cannot be found for the given project.")
    if any(row["name"] == body["name"] for row in state.things["annotation-queues"]):
        raise refused("A queue with this name already exists.")
    kept = {"name": body["name"], "description": body.get("description"), "scoreConfigIds": wanted}
    created = stamped(state, kept)
    state.things["annotation-queues"].insert(0, created)
    return Json(_shown(created, QUEUE))


async def items(state: State, request: Request) -> Response:
    queue_id = _queue(state, request)["id"]
    found = [row for row in _items(state) if row["queueId"] == queue_id]
    status = request.query_params.get("status")
    if status:
        if status not in STATUSES:
            raise invalid(bad_option(["status"], STATUSES))
        found = [row for row in found if row["status"] == status]
    return Json(page([_shown(row, ITEM) for row in found], request.query_params))


async def create_item(state: State, request: Request) -> Response:
    """The same object may be put into a queue again: Langfuse does not refuse it."""
    queue_id = _queue(state, request)["id"]
    body = await text_field(request, "objectId", "objectType")
    if body["objectType"] not in OBJECTS:
        raise invalid(bad_option(["objectType"], OBJECTS))
    status = body.get("status") or "PENDING"
    if status not in STATUSES:
        raise invalid(bad_option(["status"], STATUSES))
    created = stamped(state, {
        "queueId": queue_id,
        "objectId": body["objectId"],
        "objectType": body["objectType"],
        "status": status,
        "completedAt": now() if status == "COMPLETED" else None,
    })  # fmt: skip
    _items(state).insert(0, created)
    return Json(_shown(created, ITEM))


async def item(state: State, request: Request) -> Response:
    return Json(_shown(_item(state, request), ITEM))


async def change_item(state: State, request: Request) -> Response:
    found = _item(state, request)
    body = await text_field(request)
    status = body.get("status") or found["status"]
    if status not in STATUSES:
        raise invalid(bad_option(["status"], STATUSES))
    found["completedAt"] = now() if status == "COMPLETED" else found["completedAt"]
    found.update(status=status, updatedAt=now())
    return Json(_shown(found, ITEM))


async def delete_item(state: State, request: Request) -> Response:
    _items(state).remove(_item(state, request))
    return Json({"success": True, "message": "Annotation queue item deleted successfully"})


def _items(state: State) -> list[Row]:
    return state.things["annotation-queue-items"]


def _queue(state: State, request: Request) -> Row:
    for row in state.things["annotation-queues"]:
        if row["id"] == request.path_params["queue_id"]:
            return row
    raise not_found("Annotation queue not found")


def _item(state: State, request: Request) -> Row:
    queue_id = _queue(state, request)["id"]
    for row in _items(state):
        if (row["queueId"], row["id"]) == (queue_id, request.path_params["item_id"]):
            return row
    raise not_found("Annotation queue item not found")


def _shown(row: Row, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: row.get(key) for key in keys}
