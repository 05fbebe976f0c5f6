"""GET /experiments and /experiment-items, both from the items."""

from __future__ import annotations

import base64
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import (
    NO_PREVIEW,
    bad_option,
    invalid,
    not_found,
    refused,
    wrong_type,
)
from llmops_jobs.demo.server.observations import decode, page_limit, time_param
from llmops_jobs.demo.server.state import State

ITEM_GROUPS = {
    "core": (
        "id", "traceId", "startTime", "endTime", "level", "environment",
        "experimentId", "experimentName", "experimentItemId",
    ),
    "dataset": ("experimentDatasetId", "experimentItemVersion"),
    "io": ("input", "output", "expectedOutput"),
    "metadata": ("metadata",),
    "itemMetadata": ("experimentItemMetadata",),
    "experimentMetadata": ("experimentMetadata", "experimentDescription"),
    "scores": ("scores",),
}  # fmt: skip
GROUPS: dict[str, tuple[str, ...]] = {
    "core": (
        "id", "name", "description", "startTime", "endTime", "itemCount", "datasetId",
    ),
    "metadata": ("metadata",),
    "scores": ("scores",),
}  # fmt: skip
ITEM_DEFAULTS: Row = {
    "level": "DEFAULT", "environment": "sdk-experiment", "experimentDatasetId": None,
    "experimentItemVersion": None, "input": None, "output": None, "expectedOutput": None,
    "metadata": {}, "experimentItemMetadata": {}, "experimentMetadata": {},
    "experimentDescription": None, "scores": [],
}  # fmt: skip


async def experiments(state: State, request: Request) -> Response:
    """Start, end and item count are those within the asked range, as in Langfuse."""
    query = request.query_params
    start, end = _range(state, query)
    groups = _groups(query, GROUPS, "core")
    by_id: dict[str, Row] = {}
    for item in _items(state, start, end):
        found = by_id.setdefault(item["experimentId"], {
            "id": item["experimentId"],
            "name": item["experimentName"],
            "description": item["experimentDescription"],
            "startTime": item["startTime"],
            "endTime": item["endTime"] or item["startTime"],
            "itemCount": 0,
            "datasetId": item["experimentDatasetId"],
            "metadata": item["experimentMetadata"],
            "scores": [],
        })  # fmt: skip
        found["startTime"] = min(found["startTime"], item["startTime"])
        found["endTime"] = max(found["endTime"], item["endTime"] or item["startTime"])
        found["itemCount"] += 1
    for known in state.things["experiments"]:  # scores on the whole experiment, and the like
        if known["id"] in by_id:
            by_id[known["id"]].update(known)
    rows = _chosen(by_id.values(), query, {"id": "id", "name": "name", "datasetId": "datasetId"})
    rows.sort(key=lambda row: (row["endTime"], row["id"]), reverse=True)
    return Json(_page(rows, query, GROUPS, groups, ("endTime", "id")))


async def experiment_items(state: State, request: Request) -> Response:
    query = request.query_params
    start, end = _range(state, query)
    groups = _groups(query, ITEM_GROUPS, "core,dataset")
    rows = _chosen(_items(state, start, end), query, {
        "experimentId": "experimentId",
        "experimentName": "experimentName",
        "experimentItemId": "experimentItemId",
        "datasetId": "experimentDatasetId",
    })  # fmt: skip
    rows.sort(key=lambda row: (row["startTime"], row["id"]), reverse=True)
    return Json(_page(rows, query, ITEM_GROUPS, groups, ("startTime", "id")))


def _items(state: State, start: str, end: str | None) -> list[Row]:
    complete = ({**ITEM_DEFAULTS, **row} for row in state.things["experiment-items"])
    return [
        row for row in complete if row["startTime"] >= start and (not end or row["startTime"] < end)
    ]


def _range(state: State, query: QueryParams) -> tuple[str, str | None]:
    if state.mode != "events_only":
        raise not_found(NO_PREVIEW.replace("observations v2", "experiments"))
    start = time_param(query, "fromStartTime")
    if start is None:
        raise invalid(wrong_type(["fromStartTime"], "string", "undefined"))
    return start, time_param(query, "toStartTime")


def _groups(query: QueryParams, known: dict[str, tuple[str, ...]], default: str) -> set[str]:
    names = [name.strip() for name in query.get("fields", default).split(",") if name.strip()]
    for place, name in enumerate(names):
        if name not in known:
            raise invalid(bad_option(["fields", place], known))
    return {"core", *names}


def _chosen(rows: Any, query: QueryParams, columns: dict[str, str]) -> list[Row]:
    """Rows that the comma lists and the `filter` let through."""
    found = list(rows)
    for name, key in columns.items():
        if query.get(name):
            wanted = {part.strip() for part in query[name].split(",")}
            found = [row for row in found if row[key] in wanted]
    if query.get("filter"):
        try:
            conditions = orjson.loads(query["filter"])
        except orjson.JSONDecodeError:
            raise refused("Invalid JSON in filter parameter") from None
        for place, condition in enumerate(conditions):
            if condition.get("column") not in columns:
                raise invalid(bad_option(["filter", place, "column"], columns))
            key, value = columns[condition["column"]], condition.get("value")
            wanted = set(value) if isinstance(value, list) else {value}
            inside = condition.get("operator") in ("=", "any of")
            found = [row for row in found if (row[key] in wanted) == inside]
    return found


def _page(
    rows: list[Row],
    query: QueryParams,
    known: dict[str, tuple[str, ...]],
    groups: set[str],
    order: tuple[str, str],
) -> Row:
    limit = page_limit(query, 50, 100, minimum=1)
    if query.get("cursor"):
        position: Row = decode(query["cursor"])
        try:
            before = (position["lastTime"], position["lastId"])
        except (KeyError, TypeError):
            raise refused("Invalid cursor format") from None
        rows = [row for row in rows if (row[order[0]], row[order[1]]) < before]
    keys = [key for name, columns in known.items() if name in groups for key in columns]
    most = int(query.get("scoreLimit") or 50)
    data = [{key: row.get(key) for key in keys} for row in rows[:limit]]
    for row in data:
        if "scores" in row:
            row["scores"] = (row["scores"] or [])[:most]
    meta = {"cursor": _encode(rows[limit - 1], order)} if len(rows) > limit else {}
    return {"data": data, "meta": meta}


def _encode(row: Row, order: tuple[str, str]) -> str:
    position = {
        "v": 1,
        "lastTime": row[order[0]],
        "lastTraceId": row.get("traceId", ""),
        "lastId": row[order[1]],
        "lastExperimentId": row.get("experimentId", row["id"]),
    }
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")
