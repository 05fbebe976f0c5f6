"""Routes of the stand-in's own, under /_standin/: the clock and the faults."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import refused
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


async def set_faults(state: State, request: Request) -> Response:
    """A list of faults: kinds, or objects with the fields of `Fault`. Replaces those in force."""
    body = await json_body(request)
    try:
        state.faults.set(body if isinstance(body, list) else [body])
    except (TypeError, ValueError) as error:
        raise refused(str(error)) from error
    return Json(state.faults.described())


async def get_faults(state: State, request: Request) -> Response:
    """The faults in force, with how many requests each saw and struck."""
    return Json(state.faults.described())


async def clear_faults(state: State, request: Request) -> Response:
    state.faults.clear()
    return Json([])


async def requests(state: State, request: Request) -> Response:
    """What was asked so far, as method and path with query."""
    return Json(state.requests)


async def spans(state: State, request: Request) -> Response:
    """OTLP requests in JSON that came in."""
    return Json([span for span in state.spans if not isinstance(span, bytes)])


CONTROL: list[tuple[str, dict[str, Any]]] = [
    ("/_standin/clock", {"GET": get_clock, "POST": set_clock}),
    ("/_standin/faults", {"GET": get_faults, "POST": set_faults, "DELETE": clear_faults}),
    ("/_standin/requests", {"GET": requests}),
    ("/_standin/spans", {"GET": spans}),
]
