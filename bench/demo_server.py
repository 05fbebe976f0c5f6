"""The stand-in's pages: how fast they come, against the floor of writing the same JSON at all.

A day of calls is served in this process and by HTTP from another one. The floor is `orjson.dumps`
of the page that was sent: what is above it is ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import httpx
import orjson
from starlette.requests import Request

from llmops_jobs.demo.server.observations import observations
from llmops_jobs.demo.server.serving import prepare

DAY = date(2026, 11, 20)
FIELDS = "core,basic,time,metadata,model,usage,prompt,metrics,trace_context"
PAGES = 30


def run() -> None:
    in_process()
    over_http()


def in_process() -> None:
    """CPU of one page of 1,000 rows in the handler alone."""
    from llmops_jobs.demo.replay import Replay

    state = prepare(Replay(days=2, end=DAY))
    query = f"fields={FIELDS}&limit=1000&fromStartTime={DAY}T00:00:00Z"
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    request = Request({**scope, "query_string": query.encode()})
    page = orjson.loads(bytes(observations(state, request).body))
    size = len(orjson.dumps(page)) / 1e6
    floor = seconds(lambda: orjson.dumps(page))
    ours = seconds(lambda: observations(state, request))
    print(f"   a page of 1,000 rows ({size:.1f} MB): {ours * 1e3:.1f} ms CPU in the handler,")
    print(f"   {ours / floor:.1f} times orjson.dumps of the same page ({floor * 1e3:.1f} ms)")


def over_http() -> None:
    """Pages a second by HTTP, from a day that is held and one that has to be made."""
    with process(days=3) as client:
        first = pull(client, DAY)
        again = pull(client, DAY)
        pull(client, DAY - timedelta(days=1))
        pull(client, DAY - timedelta(days=2))
        from_disk = pull(client, DAY)
    print("   pages of 1,000 rows a second by HTTP, answers not parsed:")
    print(
        f"   {again:.0f} held in memory, {from_disk:.0f} read back from disk, {first:.0f} generated"
    )
    print(f"   = {from_disk / again:.2f} and {first / again:.2f} of the rate from memory")


def pull(client: httpx.Client, day: date) -> float:
    """Pages a second of a whole day."""
    began, pages = time.perf_counter(), 0
    query: dict[str, Any] = {
        "fields": FIELDS, "limit": 1000,
        "fromStartTime": f"{day}T00:00:00Z", "toStartTime": f"{day + timedelta(days=1)}T00:00:00Z",
    }  # fmt: skip
    while True:
        body = client.get("/api/public/v2/observations", params=query).content
        pages += 1
        tail = body[-400:].rpartition(b'"cursor":"')[2]
        if b'"meta":{}' in tail:
            return pages / (time.perf_counter() - began)
        query["cursor"] = tail.partition(b'"')[0].decode()


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call, the mean of many."""
    work()
    began = time.process_time()
    for _ in range(PAGES):
        work()
    return (time.process_time() - began) / PAGES


@contextmanager
def process(days: int) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "llmops_jobs.demo.server", "--days", str(days)]
    with subprocess.Popen([*command, "--end", str(DAY)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            told = json.loads(server.stdout.readline())
            keys = (told["public_key"], told["secret_key"])
            with httpx.Client(base_url=told["url"], auth=keys, timeout=60) as client:
                yield client
        finally:
            server.terminate()


if __name__ == "__main__":
    run()
