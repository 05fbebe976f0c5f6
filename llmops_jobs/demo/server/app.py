"""The routes, and what every request goes through: method, keys, rate limit, handler."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from llmops_jobs.demo.server import auth, experiments, prompts, queues, score_writes, things
from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.control import CONTROL
from llmops_jobs.demo.server.errors import EVENTS_ONLY, ApiError, method_not_allowed
from llmops_jobs.demo.server.metrics import metrics
from llmops_jobs.demo.server.misbehave import Misbehaving
from llmops_jobs.demo.server.observations import observations
from llmops_jobs.demo.server.scores import scores
from llmops_jobs.demo.server.state import State

Handler = Callable[[State, Request], Response | Awaitable[Response]]

NOT_FOUND_PAGE = (
    '<!DOCTYPE html><html lang="en"><head><meta charSet="utf-8"/>'
    "<title>404: This page could not be found</title></head>"
    "<body><h1>404</h1><h2>This page could not be found.</h2></body></html>"
)


@dataclass(frozen=True)
class Endpoint:
    path: str
    methods: dict[str, Handler]
    bucket: str = "general"
    open: bool = False  # without keys
    v4: bool = False  # an ancient server does not know it


def health(state: State, request: Request) -> Response:
    return Json({"status": "OK", "version": state.version})


def projects(state: State, request: Request) -> Response:
    project = {
        "id": state.project_id,
        "name": "Local Project",
        "organization": {"id": "local-org", "name": "Local Org"},
        "metadata": {},
    }
    return Json({"data": [project]})


async def otel_traces(state: State, request: Request) -> Response:
    """Keeps what came in, so that a test can see that a call was traced."""
    if "json" in request.headers.get("content-type", ""):
        state.spans.append(await score_writes.json_body(request))
    else:
        state.spans.append(await request.body())
    return Json({})


def gone(state: State, request: Request) -> Response:
    raise ApiError(404, {"message": EVENTS_ONLY})


ENDPOINTS = [
    Endpoint("/api/public/health", {"GET": health}, open=True),
    Endpoint("/api/public/ready", {"GET": health}, open=True),
    Endpoint("/api/public/projects", {"GET": projects}),
    Endpoint("/api/public/v2/observations", {"GET": observations}, v4=True),
    Endpoint("/api/public/v3/scores", {"GET": scores}),
    Endpoint("/api/public/v2/metrics", {"GET": metrics}, "metrics", v4=True),
    Endpoint("/api/public/scores", {"GET": gone, "POST": score_writes.create_score}),
    Endpoint("/api/public/scores/{score_id}", {"GET": gone, "DELETE": score_writes.delete_score}),
    Endpoint("/api/public/ingestion", {"POST": score_writes.ingest}, "ingestion"),
    Endpoint("/api/public/otel/v1/traces", {"POST": otel_traces}, "ingestion"),
    Endpoint(
        "/api/public/v2/prompts",
        {"GET": prompts.prompts, "POST": prompts.create_prompt},
        "prompts",
    ),
    Endpoint(
        "/api/public/v2/prompts/{name:path}/versions/{version}",
        {"PATCH": prompts.label_prompt},
        "prompts",
    ),
    Endpoint("/api/public/v2/prompts/{name:path}", {"GET": prompts.prompt}, "prompts"),
    Endpoint("/api/public/models", {"GET": things.models}),
    Endpoint("/api/public/models/{model_id}", {"GET": things.model}),
    Endpoint(
        "/api/public/score-configs",
        {"GET": things.score_configs, "POST": things.create_score_config},
    ),
    Endpoint("/api/public/score-configs/{config_id}", {"GET": things.score_config}),
    Endpoint(
        "/api/public/v2/datasets",
        {"GET": things.datasets, "POST": things.create_dataset},
        "datasets",
    ),
    Endpoint("/api/public/v2/datasets/{name:path}", {"GET": things.dataset}, "datasets"),
    Endpoint(
        "/api/public/dataset-items",
        {"GET": things.dataset_items, "POST": things.create_dataset_item},
        "datasets",
    ),
    Endpoint("/api/public/dataset-items/{item_id}", {"GET": things.dataset_item}, "datasets"),
    Endpoint("/api/public/comments", {"GET": things.comments, "POST": things.create_comment}),
    Endpoint(
        "/api/public/annotation-queues",
        {"GET": queues.queues, "POST": queues.create_queue},
        "annotation-queues",
    ),
    Endpoint(
        "/api/public/annotation-queues/{queue_id}", {"GET": queues.queue}, "annotation-queues"
    ),
    Endpoint(
        "/api/public/annotation-queues/{queue_id}/items",
        {"GET": queues.items, "POST": queues.create_item},
        "annotation-queues",
    ),
    Endpoint(
        "/api/public/annotation-queues/{queue_id}/items/{item_id}",
        {"GET": queues.item, "PATCH": queues.change_item, "DELETE": queues.delete_item},
        "annotation-queues",
    ),
    Endpoint("/api/public/experiments", {"GET": experiments.experiments}, v4=True),
    Endpoint("/api/public/experiment-items", {"GET": experiments.experiment_items}, v4=True),
    # Routes of v3 that a v4 server has no more.
    Endpoint("/api/public/traces", {"GET": gone}),
    Endpoint("/api/public/traces/{trace_id}", {"GET": gone, "DELETE": score_writes.delete_trace}),
    *(
        Endpoint(f"/api/public/{path}", {"GET": gone})
        for path in (
            "observations",
            "observations/{observation_id}",
            "sessions",
            "sessions/{session_id}",
            "v2/scores",
            "v2/scores/{score_id}",
            "metrics",
            "metrics/daily",
            "dataset-run-items",
            "datasets/{name}/runs",
            "datasets/{name}/runs/{run}",
        )
    ),
]


def build(state: State) -> ASGIApp:
    """The application. What is not a route answers with an HTML page, as Langfuse does."""

    async def lost(request: Request, error: Exception) -> Response:
        return HTMLResponse(NOT_FOUND_PAGE, 404)

    everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    routes = [
        Route(endpoint.path, _serve(state, endpoint), methods=everything)
        for endpoint in [*ENDPOINTS, *(Endpoint(*entry, open=True) for entry in CONTROL)]
    ]
    return Misbehaving(Starlette(routes=routes, exception_handlers={404: lost}), state)


def _serve(state: State, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            if endpoint.v4 and state.mode == "ancient":
                return HTMLResponse(NOT_FOUND_PAGE, 404)
            handler = endpoint.methods.get(request.method)
            if handler is None:
                raise method_not_allowed()
            if not endpoint.open:
                auth.check(state, request)
                state.limits.spend(endpoint.bucket)
            answer = handler(state, request)
            return await answer if inspect.isawaitable(answer) else answer
        except ApiError as error:
            return Json(error.body, error.status, error.headers)
        except Exception:
            logging.getLogger(__name__).exception("%s %s", request.method, request.url)
            return Json({"message": "Internal Server Error", "error": "InternalServerError"}, 500)

    return serve
