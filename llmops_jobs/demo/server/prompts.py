"""Prompts: list, get one by version or label, new versions, and labels moved."""

from __future__ import annotations

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
    not_found,
    refused,
    wrong_type,
)
from llmops_jobs.demo.server.score_writes import json_body
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.things import page, text_field
from llmops_jobs.demo.server.times import lenient, now

LATEST = "Label 'latest' is always assigned to the latest prompt version"


def prompt_version(name: str, version: int, prompt: Any, **more: Any) -> Row:
    """One version of a prompt as the wire shows it; `prompt` is a text or a list of messages."""
    labels = list(more.get("labels", ()))
    created = more.get("createdAt") or now()
    return {
        "id": more.get("id") or str(uuid.uuid4()),
        "createdAt": created,
        "updatedAt": more.get("updatedAt") or created,
        "projectId": more.get("projectId", ""),
        "createdBy": more.get("createdBy", "API"),
        "prompt": prompt,
        "name": name,
        "version": version,
        "type": "text" if isinstance(prompt, str) else "chat",
        "isActive": "production" in labels,
        "config": more.get("config") or {},
        "tags": list(more.get("tags", ())),
        "labels": labels,
        "commitMessage": more.get("commitMessage"),
    }


async def prompts(state: State, request: Request) -> Response:
    """One row a name; `label` and the times choose among the versions first."""
    query = request.query_params
    start, end = (lenient(query.get(key, "")) for key in ("fromUpdatedAt", "toUpdatedAt"))
    versions = [
        row
        for row in state.things["prompts"]
        if (not query.get("name") or row["name"] == query["name"])
        and (not query.get("label") or query["label"] in row["labels"])
        and (not query.get("tag") or query["tag"] in row["tags"])
        and (start is None or row["updatedAt"] >= start)
        and (end is None or row["updatedAt"] < end)
    ]
    by_name: dict[str, list[Row]] = {}
    for row in sorted(versions, key=lambda row: (row["name"], row["version"])):
        by_name.setdefault(row["name"], []).append(row)
    found = [
        {
            "name": name,
            "tags": rows[-1]["tags"],
            "lastUpdatedAt": max(row["updatedAt"] for row in rows),
            "versions": [row["version"] for row in rows],
            "labels": sorted({label for row in rows for label in row["labels"]}),
            "type": rows[-1]["type"],
            "lastConfig": rows[-1]["config"],
        }
        for name, rows in by_name.items()
    ]
    answer = page(found, query, default=10)
    meta = answer["meta"]
    meta = {key: meta[key] for key in ("page", "limit", "totalPages", "totalItems")}
    return Json({"data": answer["data"], "meta": meta, "pagination": meta})


async def prompt(state: State, request: Request) -> Response:
    name, query = request.path_params["name"], request.query_params
    version, label = query.get("version"), query.get("label")
    if version and label:
        raise refused("Cannot specify both version and label")
    if version and not version.isdecimal():
        raise invalid(wrong_type(["version"], "number", "NaN"))
    if not version:
        label = label or "production"
    for row in state.things["prompts"]:
        if row["name"] == name and (
            row["version"] == int(version) if version else label in row["labels"]
        ):
            return Json({**row, "resolutionGraph": None})
    chosen = f"version {version}" if version else f"label '{label}'"
    raise not_found(f"Prompt not found: '{name}' with {chosen}")


async def create_prompt(state: State, request: Request) -> Response:
    """A new version; its labels are taken from the others, and it becomes `latest`."""
    body = await text_field(request, "name")
    if not isinstance(body.get("prompt"), str | list):
        raise invalid(wrong_type(["prompt"], "string", kind_of(body.get("prompt"))))
    kind = body.get("type") or "text"
    if kind not in ("chat", "text"):
        raise invalid(bad_option(["type"], ("chat", "text")))
    if (kind == "chat") != isinstance(body["prompt"], list):
        expected = "array" if kind == "chat" else "string"
        raise invalid(wrong_type(["prompt"], expected, kind_of(body["prompt"])))
    labels = [*body.get("labels", ()), "latest"]
    _refuse_protected(state, labels)
    others = [row for row in state.things["prompts"] if row["name"] == body["name"]]
    _take_labels(others, labels)
    created = prompt_version(
        body["name"],
        max((row["version"] for row in others), default=0) + 1,
        body["prompt"],
        labels=labels,
        tags=body.get("tags") or (others[0]["tags"] if others else ()),
        config=body.get("config"),
        commitMessage=body.get("commitMessage"),
        projectId=state.project_id,
    )
    state.things["prompts"].insert(0, created)
    return Json({**created, "resolutionGraph": None}, 201)


async def label_prompt(state: State, request: Request) -> Response:
    """Adds labels to a version and takes them from the others; none is ever lost here."""
    body = await json_body(request)
    labels = body.get("newLabels") if isinstance(body, dict) else None
    if not isinstance(labels, list):
        raise invalid(wrong_type(["newLabels"], "array", "undefined"))
    if "latest" in labels:
        raise invalid(custom(["newLabels"], LATEST))
    name, version = request.path_params["name"], request.path_params["version"]
    versions = [row for row in state.things["prompts"] if row["name"] == name]
    for row in versions:
        if str(row["version"]) == version:
            _refuse_protected(state, [label for label in labels if label not in row["labels"]])
            _take_labels([other for other in versions if other is not row], labels)
            row["labels"] = list(dict.fromkeys([*labels, *row["labels"]]))
            row["isActive"] = "production" in row["labels"]
            row["updatedAt"] = now()
            return Json(row)
    raise not_found(f"Prompt not found: {name}")


def _take_labels(rows: list[Row], labels: list[str]) -> None:
    for row in rows:
        if set(row["labels"]) & set(labels):
            row["labels"] = [label for label in row["labels"] if label not in labels]
            row["isActive"] = "production" in row["labels"]
            row["updatedAt"] = now()


def _refuse_protected(state: State, labels: list[str]) -> None:
    protected = sorted(state.protected_labels & set(labels))
    if protected:
        raise ApiError(
            403,
            {
                "message": "You don't have permission to add/remove a protected label to/from a "
                f"prompt. Protected labels are: {', '.join(protected)}",
                "error": "ForbiddenError",
            },
        )
