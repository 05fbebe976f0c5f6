"""Routes of the stand-in's own, under /_standin/: the clock and the faults."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.score_writes import json_body
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.times import lenient


async def set_clock(state: State, request: Request) -> Response:
    """{"now": "2026-11-20T00:20:00Z"}, or null for no clock."""
    body = await json_body(request)
    state.clock = lenient(body["now"]) if body.get("now") else None
    return Json({"now": state.clock})


async def get_clock(state: State, request: Request) -> Response:
    return Json({"now": state.clock})


CONTROL: list[tuple[str, dict[str, Any]]] = [
    ("/_standin/clock", {"GET": get_clock, "POST": set_clock}),
]
