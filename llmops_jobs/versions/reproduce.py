"""What is needed to run a past request again: prompt, variables, model, parameters, tools."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import UserError
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database

_COLUMNS = (
    *("trace_id", "observation_id", "day", "start_time", "name", "feature", "prompt_name"),
    *("prompt_version", "request_model", "model", "provider", "model_parameters", "tool_names"),
    *("release", "version", "level", "is_model_call"),
)


def calls_of(
    lake: Lake, project: str, trace: str, day: date | None, *, content: bool
) -> list[dict[str, Any]]:
    """The model calls of a trace in the order in which they were made.

    Without a day, the days of the lake are searched from the newest. `content` adds input, output
    and the metadata (with the prompt's variables, where the application records them) of the calls
    whose text was fetched. Raises UserError when the trace is not in the lake.
    """
    days = [day] if day else list(reversed(lake.days("observations", project)))
    for each in days:
        rows = lake.read_day("observations", project, each, _COLUMNS).to_pandas()
        rows = rows[(rows["trace_id"] == trace) & rows["is_model_call"]]
        if len(rows):
            rows = rows.sort_values(["start_time", "observation_id"])
            texts = _texts(lake, project, trace, each) if content else {}
            return [_call(row, texts) for row in rows.to_dict("records")]
    where = f"on {day}" if day else f"in {len(days)} days of the lake"
    raise UserError(f"trace {trace} has no model call {where}")


def with_labels(database: Database, project: str, calls: list[dict[str, Any]]) -> None:
    """Adds the labels that each call's prompt version carried by the night of the call."""
    for call in calls:
        prompt, day = call["prompt"], date.fromisoformat(call["start_time"][:10])
        rows = database.table("prompt_label", project, day, day, prompt_name=prompt["name"])
        prompt["labels"] = sorted(rows.loc[rows["version"] == prompt["version"], "label"])


def with_templates(home: Deployment, project: str, calls: list[dict[str, Any]]) -> None:
    """Adds text and config of each call's prompt version, or why they cannot be had."""
    from llmops_jobs.versions.configuration import template

    known: dict[tuple[str, int], dict[str, str]] = {}
    for call in calls:
        name, version = call["prompt"]["name"], call["prompt"]["version"]
        if not name or version is None:
            continue
        if (name, version) not in known:
            try:
                keys = next(keys for keys in home.projects() if keys.id == project)
                known[name, version] = {"text": template(keys, name, version)}
            except UserError as error:
                known[name, version] = {"text_missing": str(error)}
        call["prompt"] |= known[name, version]


def _texts(lake: Lake, project: str, trace: str, day: date) -> dict[str, dict[str, Any]]:
    rows = lake.read_day("observation_text", project, day).to_pandas()
    return {
        row["observation_id"]: row for row in rows[rows["trace_id"] == trace].to_dict("records")
    }


def _call(row: dict[str, Any], texts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    version = row["prompt_version"]
    call = {
        "observation_id": row["observation_id"],
        "start_time": row["start_time"].isoformat(),
        "name": row["name"],
        "feature": row["feature"],
        "prompt": {
            "name": row["prompt_name"],
            "version": None if version != version or version is None else int(version),
        },
        "model": {
            "requested": row["request_model"],
            "answered": row["model"],
            "provider": row["provider"],
            "parameters": _json(row["model_parameters"]),
        },
        "tools": _json(row["tool_names"]),
        "release": row["release"],
        "version": row["version"],
        "failed": row["level"] == "ERROR",
    }
    text = texts.get(row["observation_id"])
    if text is not None:
        metadata = _json(text["metadata"])
        variables = metadata.get("prompt_variables") if isinstance(metadata, dict) else None
        call |= {
            "variables": variables,
            "input": text["input"],
            "output": text["output"],
            "metadata": metadata,
        }
    return call


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
