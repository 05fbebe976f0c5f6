"""Keys of a row on the wire: which field group has which, their order, and how absence looks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from llmops_jobs.demo.rows import Row

# GET /v2/observations, in the order in which a 4.16 server writes the keys.
OBSERVATION_GROUPS: dict[str, tuple[str, ...]] = {
    "core": (
        "id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type",
    ),
    "basic": (
        "name", "level", "statusMessage", "version", "environment",
        "userId", "sessionId", "isRootObservation", "bookmarked", "public",
    ),
    "time": ("completionStartTime", "createdAt", "updatedAt"),
    "io": ("input", "output"),
    "metadata": ("metadata",),
    "model": ("model", "internalModelId", "modelParameters"),
    "usage": (
        "usageDetails", "inputUsage", "outputUsage", "totalUsage",
        "costDetails", "inputCost", "outputCost", "totalCost",
        "usagePricingTierId", "usagePricingTierName",
    ),
    "prompt": ("promptId", "promptName", "promptVersion"),
    "metrics": ("latency", "timeToFirstToken"),
    "trace_context": ("traceName", "release", "tags"),
}  # fmt: skip
# On every row whatever was asked for.
ALWAYS = ("latency", "timeToFirstToken", "modelId", "inputPrice", "outputPrice", "totalPrice")

# A missing string is "" and not null, except where a 4.16 server was seen to write null.
OBSERVATION_DEFAULTS: Row = {
    "id": "", "traceId": "", "startTime": "", "endTime": None, "projectId": "",
    "parentObservationId": None, "type": "SPAN",
    "name": "", "level": "DEFAULT", "statusMessage": "", "version": "", "environment": "default",
    "completionStartTime": None, "createdAt": "", "updatedAt": "",
    "input": None, "output": None, "metadata": {},
    "model": "", "internalModelId": "", "modelParameters": {},
    "usageDetails": {}, "inputUsage": 0, "outputUsage": 0, "totalUsage": 0,
    "costDetails": {}, "inputCost": None, "outputCost": None, "totalCost": 0,
    "promptId": "", "promptName": "", "promptVersion": None,
    "usagePricingTierId": None, "usagePricingTierName": None,
    "latency": None, "timeToFirstToken": None,
    "userId": "", "sessionId": "", "isRootObservation": False,
    "traceName": None, "release": "", "tags": [],
    "bookmarked": False, "public": False,
    "modelId": None, "inputPrice": None, "outputPrice": None, "totalPrice": None,
}  # fmt: skip
OBSERVATION_KEYS = tuple(OBSERVATION_DEFAULTS)

# GET /v3/scores.
SCORE_GROUPS: dict[str, tuple[str, ...]] = {
    "core": (
        "id", "projectId", "name", "source", "timestamp", "environment", "createdAt", "updatedAt",
        "dataType", "value",
    ),
    "details": ("comment", "configId", "metadata"),
    "subject": ("subject",),
    "annotation": ("authorUserId", "queueId"),
}  # fmt: skip
SCORE_DEFAULTS: Row = {
    "id": "", "projectId": "", "name": "", "source": "API", "timestamp": "",
    "environment": "default", "createdAt": "", "updatedAt": "",
    "comment": None, "configId": None, "metadata": {},
    "authorUserId": None, "queueId": None,
    "subject": None, "dataType": "NUMERIC", "value": 0,
}  # fmt: skip
SCORE_KEYS = tuple(SCORE_DEFAULTS)

METADATA_CUT = 200
KINDS = ("observations", "scores")


def complete_observation(row: Row, project_id: str) -> Row:
    """The row with every key of the wire; what is absent looks as the server shows absence.

    Rows are returned as they are when they are complete already.
    """
    if row.keys() >= OBSERVATION_DEFAULTS.keys():
        return row
    whole: Row = {**OBSERVATION_DEFAULTS, "projectId": project_id, **row}
    start, end = whole["startTime"], whole["endTime"]
    whole["createdAt"] = whole["createdAt"] or end or start
    whole["updatedAt"] = whole["updatedAt"] or whole["createdAt"]
    if "isRootObservation" not in row:
        whole["isRootObservation"] = not whole["parentObservationId"]
    if "latency" not in row and end:
        whole["latency"] = seconds_between(start, end)
    if "timeToFirstToken" not in row and whole["completionStartTime"]:
        whole["timeToFirstToken"] = seconds_between(start, whole["completionStartTime"])
    usage, cost = whole["usageDetails"], whole["costDetails"]
    for side, word in (("input", "Usage"), ("output", "Usage")):
        if f"{side}{word}" not in row:
            whole[f"{side}{word}"] = sum(value for key, value in usage.items() if side in key)
    if "totalUsage" not in row:
        whole["totalUsage"] = usage.get("total", 0)
    if cost:
        for side in ("input", "output"):
            if f"{side}Cost" not in row:
                whole[f"{side}Cost"] = sum(value for key, value in cost.items() if side in key)
        if "totalCost" not in row:
            whole["totalCost"] = cost.get("total", 0)
    return whole


def complete_score(row: Row, project_id: str) -> Row:
    """As `complete_observation`, for a score."""
    if row.keys() >= SCORE_DEFAULTS.keys():
        return row
    whole: Row = {**SCORE_DEFAULTS, "projectId": project_id, **row}
    whole["createdAt"] = whole["createdAt"] or whole["timestamp"]
    whole["updatedAt"] = whole["updatedAt"] or whole["createdAt"]
    return whole


def cut_all(metadata: Row, whole: Collection[str] = ()) -> Row:
    """The same object when no value is long, which is the rule: this runs for every value."""
    shortened = None
    for key, value in metadata.items():
        kind = type(value)
        if kind is str:
            if len(value) <= METADATA_CUT // 6:  # an escape makes six characters of one
                continue
        elif kind is not list and kind is not dict:
            continue
        shorter = value if key in whole else cut(value)
        if shorter is not value:
            shortened = shortened or dict(metadata)
            shortened[key] = shorter
    return shortened or metadata


def cut(value: Any) -> Any:
    """A metadata value as the narrow table holds it: the first 200 characters of its JSON."""
    text = orjson.dumps(value).decode()
    return value if len(text) <= METADATA_CUT else text[:METADATA_CUT]


def seconds_between(start: str, end: str) -> float:
    """Seconds from one ISO time to another, to the millisecond."""
    from llmops_jobs.demo.server.times import instant

    return round((instant(end) - instant(start)).total_seconds(), 3)


def select(groups: dict[str, tuple[str, ...]], wanted: set[str], order: Any) -> tuple[str, ...]:
    """Keys of the wanted groups in wire order."""
    chosen = {key for name in wanted for key in groups[name]}
    return tuple(key for key in order if key in chosen)
