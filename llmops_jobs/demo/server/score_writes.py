"""Writing scores: POST /scores, POST /ingestion, DELETE /scores/{id}."""

from __future__ import annotations

import json
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import (
    ApiError,
    bad_option,
    custom,
    invalid,
    kind_of,
    wrong_type,
)
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.times import lenient, now

TARGETS = ("traceId", "sessionId", "datasetRunId", "observationId")
ONE_TARGET = (
    "Provide exactly one of the following: traceId (with optional observationId), sessionId or "
    "datasetRunId. ObservationId requires traceId."
)
TYPES = ("NUMERIC", "CATEGORICAL", "BOOLEAN", "CORRECTION", "TEXT")
NOT_ACCEPTED = (
    'Event type "{}" is not accepted by /api/public/ingestion when LANGFUSE_MIGRATION_V4_WRITE_MODE'
    " is events_only. This endpoint only accepts score and log events."
)


async def create_score(state: State, request: Request) -> Response:
    body = await json_body(request)
    if state.takes_score_arrays:
        return _create_many(state, body)
    if not isinstance(body, dict):
        issue = wrong_type([], "object", kind_of(body))
        raise invalid(issue, issue)
    _check(body)
    # This version ignores `timestamp` and stamps now.
    moment = now()
    score_id = body.get("id") or str(uuid.uuid4())
    _store(state, {**body, "id": score_id}, moment, moment)
    return Json({"id": score_id})


def _create_many(state: State, body: Any) -> Response:
    if not isinstance(body, list):
        raise invalid(wrong_type([], "array", kind_of(body)))
    errors = []
    for place, item in enumerate(body):
        try:
            _check(item)
        except ApiError as error:
            score_id = item.get("id") if isinstance(item, dict) else None
            errors.append({
                "index": place, "id": score_id, "status": error.status,
                "message": error.body["message"], "error": error.body["error"],
            })  # fmt: skip
            continue
        moment = lenient(item["timestamp"]) if item.get("timestamp") else None
        event_time = now()
        score_id = item.get("id") or str(uuid.uuid4())
        _store(state, {**item, "id": score_id}, moment or event_time, event_time)
    if not errors:
        return Json({"message": "Accepted"}, 202)
    accepted = len(body) - len(errors)
    return Json({"accepted": accepted, "rejected": len(errors), "errors": errors}, 207)


async def ingest(state: State, request: Request) -> Response:
    """Scores only: a v4 server refuses the other event types, inside the 207."""
    body = await json_body(request)
    batch = body.get("batch") if isinstance(body, dict) else None
    if not isinstance(batch, list):
        raise invalid(wrong_type(["batch"], "array", "undefined" if batch is None else "object"))
    successes, errors = [], []
    for event in batch:
        event_id = event.get("id", "") if isinstance(event, dict) else ""
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "sdk-log":
            successes.append({"id": event_id, "status": 201})
            continue
        if kind != "score-create":
            errors.append({
                "id": event_id, "status": 400, "message": "Event type not accepted",
                "error": NOT_ACCEPTED.format(kind),
            })  # fmt: skip
            continue
        try:
            moment = lenient(str(event.get("timestamp")))
            if moment is None:
                raise invalid(wrong_type(["timestamp"], "string", "undefined"))
            _check(event.get("body"), evaluators=True)
        except ApiError as error:
            errors.append({
                "id": event_id, "status": 400, "message": "Invalid request data",
                "error": json.dumps(error.body["error"]),
            })  # fmt: skip
            continue
        score_id = event["body"].get("id") or str(uuid.uuid4())
        _store(state, {**event["body"], "id": score_id}, moment, moment)
        successes.append({"id": event_id, "status": 201})
    return Json({"successes": successes, "errors": errors}, 207)


async def delete_score(state: State, request: Request) -> Response:
    state.overlay.delete(request.path_params["score_id"])
    return Json({"message": "Score deletion queued successfully"}, 202)


async def delete_trace(state: State, request: Request) -> Response:
    state.overlay.delete_trace(request.path_params["trace_id"])
    return Json({"message": "Trace deleted successfully"})


async def json_body(request: Request) -> Any:
    try:
        return json.loads(await request.body() or b"null")
    except ValueError:
        raise ApiError(400, {"message": "Invalid JSON", "error": "InvalidRequestError"}) from None


def _check(body: Any, *, evaluators: bool = False) -> None:
    """Raises ApiError (400) unless the body is a score that the server would take."""
    if not isinstance(body, dict):
        raise invalid(wrong_type([], "object", kind_of(body)))
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise invalid(wrong_type(["name"], "string", _received(body, "name")))
    kind, value = body.get("dataType"), body.get("value")
    if kind is not None and kind not in TYPES:
        raise invalid(bad_option(["dataType"], TYPES))
    expected = "number" if kind in ("NUMERIC", "BOOLEAN") else "string" if kind else None
    received = _received(body, "value")
    if expected and received != expected:
        raise invalid(wrong_type(["value"], expected, received))
    if not expected and received not in ("number", "string"):
        raise invalid(wrong_type(["value"], "string", received))
    if kind == "BOOLEAN" and value not in (0, 1):
        text = "Value must be a number equal to either 0 or 1 for data type BOOLEAN"
        raise invalid(custom(["value"], text))
    if kind == "TEXT" and not 1 <= len(str(value)) <= 500:
        raise invalid(custom(["value"], "Text values have between 1 and 500 characters"))
    targets = [name for name in TARGETS[:3] if body.get(name)]
    if len(targets) != 1 or (body.get("observationId") and targets != ["traceId"]):
        raise invalid(custom(list(TARGETS), ONE_TARGET))
    sources = ("API", "ANNOTATION", "EVAL") if evaluators else ("API", "ANNOTATION")
    if body.get("source") is not None and body["source"] not in sources:
        raise invalid(bad_option(["source"], sources))
    if str(body.get("environment") or "").startswith("langfuse"):
        raise invalid(custom(["environment"], "Environment name cannot start with 'langfuse'"))


def _received(body: dict[str, Any], key: str) -> str:
    return kind_of(body[key]) if key in body else "undefined"


def _store(state: State, body: Row, timestamp: str, event_time: str) -> None:
    """Keeps the score as the worker would: one that disagrees with its config, or names a config
    that is not there, was acknowledged and is dropped all the same."""
    kind = body.get("dataType") or ("CATEGORICAL" if isinstance(body["value"], str) else "NUMERIC")
    value = body["value"]
    if body.get("configId"):
        configs = [c for c in state.things["score-configs"] if c["id"] == body["configId"]]
        if not configs or not _agrees(configs[0], body, kind):
            return
    arrived = now()
    score: Row = {
        "id": body["id"],
        "projectId": state.project_id,
        "name": body["name"],
        "source": body.get("source") or "API",
        "timestamp": timestamp,
        "environment": body.get("environment") or "default",
        "createdAt": arrived,
        "updatedAt": arrived,
        "comment": body.get("comment"),
        "configId": body.get("configId"),
        "metadata": body.get("metadata") or {},
        "authorUserId": None,
        "queueId": body.get("queueId"),
        "subject": _subject(body),
        "dataType": kind,
        "value": bool(value) if kind == "BOOLEAN" else value,
    }
    state.overlay.put(score, event_time)


def _subject(body: Row) -> Row:
    if body.get("observationId"):
        return {"kind": "observation", "id": body["observationId"], "traceId": body["traceId"]}
    for key, kind in (
        ("traceId", "trace"),
        ("sessionId", "session"),
        ("datasetRunId", "experiment"),
    ):
        if body.get(key):
            return {"kind": kind, "id": body[key]}
    raise ValueError("a score without a subject passed the check")


def _agrees(config: Row, body: Row, kind: str) -> bool:
    if config["isArchived"] or config["dataType"] != kind or config["name"] != body["name"]:
        return False
    value = body["value"]
    if kind == "NUMERIC":
        low, high = config.get("minValue"), config.get("maxValue")
        return (low is None or value >= low) and (high is None or value <= high)
    if kind == "CATEGORICAL" and config.get("categories"):
        return value in {category["label"] for category in config["categories"]}
    return True
