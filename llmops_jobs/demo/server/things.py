"""Small configuration data: models, score configs, datasets, comments: page and limit."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import bad_option, invalid, not_found, too_small, wrong_type
from llmops_jobs.demo.server.observations import page_limit
from llmops_jobs.demo.server.score_writes import json_body
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.times import now

CONFIG_TYPES = ("NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT")
COMMENTED = ("TRACE", "OBSERVATION", "SESSION", "PROMPT")


def page(rows: Iterable[Row], query: QueryParams, default: int = 50) -> dict[str, Any]:
    """`data` and `meta` of one page; `page` counts from 1."""
    limit = page_limit(query, default, 100, minimum=1)
    try:
        number = int(query.get("page", "1"))
    except ValueError:
        raise invalid(wrong_type(["page"], "number", "NaN")) from None
    if number < 1:
        raise invalid(too_small(["page"], 1))
    found = list(rows)
    return {
        "data": found[(number - 1) * limit : number * limit],
        "meta": {
            "page": number,
            "limit": limit,
            "totalItems": len(found),
            "totalPages": -(-len(found) // limit),
        },
    }


def by_id(rows: Iterable[Row], wanted: str, what: str) -> Row:
    for row in rows:
        if row["id"] == wanted:
            return row
    raise not_found(f"{what} not found within authorized project")


def stamped(state: State, body: Row) -> Row:
    """A new thing: id and times first, then what was sent."""
    moment = now()
    return {
        "id": body.get("id") or str(uuid.uuid4()),
        "projectId": state.project_id,
        "createdAt": moment,
        "updatedAt": moment,
        **{key: value for key, value in body.items() if key != "id"},
    }


async def text_field(request: Request, *names: str) -> Row:
    """The body, which must be an object with these texts."""
    body = await json_body(request)
    if not isinstance(body, dict):
        raise invalid(wrong_type([], "object", "array" if isinstance(body, list) else "undefined"))
    for name in names:
        if not isinstance(body.get(name), str):
            raise invalid(wrong_type([name], "string", "undefined"))
    return body


async def models(state: State, request: Request) -> Response:
    return Json(page(state.things["models"], request.query_params))


async def model(state: State, request: Request) -> Response:
    wanted = request.path_params["model_id"]
    for row in state.things["models"]:
        if row["id"] == wanted:
            return Json(row)
    raise not_found("No model with this id found.")


async def score_configs(state: State, request: Request) -> Response:
    return Json(page(state.things["score-configs"], request.query_params))


async def score_config(state: State, request: Request) -> Response:
    wanted = request.path_params["config_id"]
    return Json(by_id(state.things["score-configs"], wanted, "Score config"))


async def create_score_config(state: State, request: Request) -> Response:
    body = await text_field(request, "name", "dataType")
    if body["dataType"] not in CONFIG_TYPES:
        raise invalid(bad_option(["dataType"], CONFIG_TYPES))
    given = {key: body.get(key) for key in ("maxValue", "minValue", "categories", "description")}
    if body["dataType"] == "BOOLEAN":
        given["categories"] = [{"label": "True", "value": 1}, {"label": "False", "value": 0}]
    kept = {"name": body["name"], "dataType": body["dataType"], "isArchived": False, **given}
    config = stamped(state, kept)
    state.things["score-configs"].insert(0, config)
    return Json(config)


async def datasets(state: State, request: Request) -> Response:
    return Json(page(state.things["datasets"], request.query_params))


async def dataset(state: State, request: Request) -> Response:
    return Json(_dataset(state, request.path_params["name"]))


def _dataset(state: State, name: str) -> Row:
    for row in state.things["datasets"]:
        if row["name"] == name:
            return row
    raise not_found("Dataset not found")


async def create_dataset(state: State, request: Request) -> Response:
    """Creates, or changes the dataset that has this name."""
    body = await text_field(request, "name")
    keys = ("description", "metadata", "inputSchema", "expectedOutputSchema")
    given = {key: body.get(key) for key in keys}
    for row in state.things["datasets"]:
        if row["name"] == body["name"]:
            row.update({key: value for key, value in given.items() if value is not None})
            row["updatedAt"] = now()
            return Json(row)
    created = stamped(state, {"name": body["name"], **given})
    state.things["datasets"].insert(0, created)
    return Json(created)


async def dataset_items(state: State, request: Request) -> Response:
    query = request.query_params
    items = state.things["dataset-items"]
    if query.get("datasetName"):
        name = _dataset(state, query["datasetName"])["name"]
        items = [item for item in items if item["datasetName"] == name]
    for key in ("sourceTraceId", "sourceObservationId"):
        if query.get(key):
            items = [item for item in items if item[key] == query[key]]
    return Json(page(items, query))


async def create_dataset_item(state: State, request: Request) -> Response:
    """Creates, or replaces the item that has this id."""
    body = await text_field(request, "datasetName")
    dataset = _dataset(state, body["datasetName"])
    keys = ("sourceTraceId", "sourceObservationId", "input", "expectedOutput", "metadata")
    item = stamped(state, {
        "id": body.get("id"),
        "datasetId": dataset["id"],
        "status": body.get("status") or "ACTIVE",
        **{key: body.get(key) for key in keys},
        "datasetName": dataset["name"],
        "mediaReferences": [],
    })  # fmt: skip
    del item["projectId"]
    others = [row for row in state.things["dataset-items"] if row["id"] != item["id"]]
    state.things["dataset-items"] = [item, *others]
    return Json(item)


async def dataset_item(state: State, request: Request) -> Response:
    wanted = request.path_params["item_id"]
    return Json(by_id(state.things["dataset-items"], wanted, "Dataset item"))


async def comments(state: State, request: Request) -> Response:
    query = request.query_params
    rows = state.things["comments"]
    if query.get("objectId") and not query.get("objectType"):
        raise invalid(
            {
                "code": "custom",
                "path": ["objectId"],
                "message": "objectType is required with objectId",
            }
        )
    for key in ("objectType", "objectId", "authorUserId"):
        if query.get(key):
            rows = [row for row in rows if row[key] == query[key]]
    return Json(page(rows, query))


async def create_comment(state: State, request: Request) -> Response:
    body = await text_field(request, "objectType", "objectId", "content")
    if body["objectType"] not in COMMENTED:
        raise invalid(bad_option(["objectType"], COMMENTED))
    kept = {key: body[key] for key in ("objectType", "objectId", "content")}
    comment = stamped(state, {**kept, "authorUserId": body.get("authorUserId")})
    state.things["comments"].insert(0, comment)
    return Json({"id": comment["id"]})
