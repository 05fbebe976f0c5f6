"""A small project to ask, and a client that has its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from llmops_jobs.demo.server import MemorySource, Running, running

Open = Callable[..., tuple[Running, httpx.Client]]


@pytest.fixture
def opened() -> Iterator[Open]:
    """`server, client = opened(observations=[…], scores=[…], version="4.59.0")`."""
    with ExitStack() as stack:

        def start(
            observations: Any = (), scores: Any = (), **options: Any
        ) -> tuple[Running, httpx.Client]:
            server = stack.enter_context(running(MemorySource(observations, scores), **options))
            client = stack.enter_context(client_of(server))
            return server, client

        yield start


def client_of(server: Running) -> httpx.Client:
    return httpx.Client(
        base_url=f"{server.url}/api/public/",
        auth=(server.public_key, server.secret_key),
        timeout=20,
        verify=False,  # no certificates to load: loopback
    )


def call(place: int, start: str = "", **more: Any) -> dict[str, Any]:
    """A model call; `place` makes its ids."""
    return {
        "id": f"obs-{place:04d}",
        "traceId": f"trace-{place // 2:04d}",
        "startTime": start or f"2026-11-20T{place % 24:02d}:00:00.000Z",
        "endTime": more.pop("end", None) or f"2026-11-20T{place % 24:02d}:00:01.500Z",
        "type": "GENERATION",
        "name": "chat",
        "model": "gpt-4o",
        "usageDetails": {"input": 100, "output": 20, "total": 120},
        "costDetails": {"input": 0.25, "output": 0.5, "total": 0.75},
        **more,
    }


def thumb(place: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"score-{place:04d}",
        "name": "user_feedback",
        "timestamp": f"2026-11-20T{place % 24:02d}:30:00.000Z",
        "dataType": "BOOLEAN",
        "value": place % 2 == 0,
        "subject": {"kind": "trace", "id": f"trace-{place:04d}"},
        **more,
    }


def every_page(client: httpx.Client, path: str, **query: Any) -> list[list[dict[str, Any]]]:
    pages: list[list[dict[str, Any]]] = []
    cursor = None
    while len(pages) < 100:
        asked = {**query, "cursor": cursor} if cursor else query
        answer = client.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["data"])
        cursor = answer.json()["meta"].get("cursor")
        if cursor is None:
            return pages
    raise AssertionError("the cursor never ends")
