"""How it is served: keys, limits, versions of the server, traces, and the process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmops_jobs.demo.server.limits import Limits
from tests.demo_server.conftest import Open, call


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({}, 401, "No authorization header"),
        ({"authorization": "Basic eDp5"}, 401, "Invalid credentials."),
        ({"authorization": "Basic ÿ".encode("latin-1").decode("latin-1")}, 401, "Invalid"),
        ({"authorization": "Bearer sk-lf-standin"}, 401, "Invalid public key."),
        ({"authorization": "Bearer pk-lf-standin"}, 403, "Access denied"),
    ],
)
def test_without_the_right_keys_there_is_one_sentence(
    opened: Open, headers: dict[str, str], status: int, message: str
) -> None:
    server, _ = opened()
    raw = {key: value.encode("latin-1") for key, value in headers.items()}
    answer = httpx.get(f"{server.url}/api/public/v2/observations", headers=raw)
    assert answer.status_code == status
    assert answer.json()["message"].startswith(message)
    assert httpx.get(f"{server.url}/api/public/health").json()["status"] == "OK"


def test_the_public_key_alone_may_write_scores(opened: Open) -> None:
    server, _ = opened()
    answer = httpx.post(
        f"{server.url}/api/public/scores",
        json={"name": "thumbs", "value": 1, "traceId": "t"},
        headers={"authorization": f"Bearer {server.public_key}"},
    )
    assert answer.status_code == 200


def test_of_a_limit_of_five_four_pass_in_each_bucket(opened: Open) -> None:
    _, client = opened(limits=Limits({"general": 5, "metrics": 2}, window_seconds=30))
    answers = [client.get("v2/observations?limit=1") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert "x-ratelimit-limit" not in answers[0].headers
    headers = answers[4].headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("5", "0")
    assert 28 <= int(headers["retry-after"]) <= 30
    details = answers[4].json()["details"]
    assert details["retryAfterSeconds"] == int(headers["retry-after"])
    assert details["resetAt"].endswith("Z")
    assert client.get("v2/prompts").status_code == 200
    query = {"view": "observations", "metrics": []}
    codes = [
        client.get("v2/metrics", params={"query": json.dumps(query)}).status_code for _ in "12"
    ]
    assert codes == [400, 429]


def test_a_limit_is_lifted_when_its_window_is_over(opened: Open) -> None:
    _, client = opened(limits=Limits({"general": 2}, window_seconds=0.3))
    codes = [client.get("models").status_code for _ in range(2)]
    time.sleep(0.31)
    assert [*codes, client.get("models").status_code] == [200, 429, 200]


@pytest.mark.parametrize(
    ("mode", "content_type", "words"),
    [
        ("v3", "application/json; charset=utf-8", "only available in a Langfuse v4 write mode"),
        ("ancient", "text/html; charset=utf-8", "could not be found"),
        ("legacy_writes", "application/json; charset=utf-8", "v4 write mode"),
    ],
)
def test_an_old_server_does_not_have_the_new_routes(
    opened: Open, mode: str, content_type: str, words: str
) -> None:
    _, client = opened([call(1)], mode=mode, version="3.150.0")
    answer = client.get("v2/observations")
    assert (answer.status_code, answer.headers["content-type"]) == (404, content_type)
    assert words in answer.text
    assert client.get("health").json()["version"] == "3.150.0"
    assert client.get("projects").status_code == 200


def test_the_routes_of_before_are_gone_and_unknown_ones_are_a_page(opened: Open) -> None:
    _, client = opened()
    for path in ("traces", "observations/x", "sessions", "v2/scores", "metrics/daily"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "events_only mode" in answer.json()["message"]
    assert client.get("nope").headers["content-type"].startswith("text/html")
    answer = client.post("v2/observations")
    assert (answer.status_code, answer.json()["error"]) == (405, "MethodNotAllowedError")


def test_a_trace_that_is_sent_can_be_seen(opened: Open) -> None:
    server, client = opened()
    spans = {"resourceSpans": [{"scopeSpans": []}]}
    assert client.post("otel/v1/traces", json=spans).json() == {}
    headers = {"content-type": "application/x-protobuf"}
    assert client.post("otel/v1/traces", content=b"\x0a\x00", headers=headers).status_code == 200
    assert server.state.spans == [spans, b"\x0a\x00"]
    assert client.get(f"{server.url}/_standin/spans").json() == [spans]


def test_what_was_asked_is_kept_in_order(opened: Open) -> None:
    server, client = opened()
    client.get("health")
    client.get("v2/observations?limit=1&fields=core")
    asked = client.get(f"{server.url}/_standin/requests").json()
    assert asked == [
        "GET /api/public/health",
        "GET /api/public/v2/observations?limit=1&fields=core",
    ]


def test_a_broken_body_is_refused_and_a_bug_is_an_answer(opened: Open) -> None:
    server, client = opened()
    assert client.post("scores", content=b"{").status_code == 400
    server.state.source.day = None  # type: ignore[method-assign]
    server.state.source.days = lambda: 1 / 0  # type: ignore[attr-defined]
    answer = client.get("v2/observations")
    assert (answer.status_code, answer.json()["message"]) == (500, "Internal Server Error")


@pytest.mark.slow
def test_the_process_says_where_it_is_and_serves_the_replay(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llmops_jobs.demo.server", "--days", "2"]
    command += ["--end", "2026-11-20", "--home", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            told = json.loads(process.stdout.readline())
            client = httpx.Client(
                base_url=f"{told['url']}/api/public/",
                auth=(told["public_key"], told["secret_key"]),
                timeout=60,
            )
            window: dict[str, Any] = {
                "fromStartTime": "2026-11-20T00:00:00Z", "toStartTime": "2026-11-21T00:00:00Z",
                "limit": 1000,
            }  # fmt: skip
            page = client.get("v2/observations", params=window).json()
            assert len(page["data"]) == 1000
            assert page["data"][0]["startTime"].startswith("2026-11-20T")
            assert client.get("v3/scores").json()["data"]
            assert client.get("v2/prompts").json()["data"]
            assert list(tmp_path.rglob("*.rows"))
        finally:
            process.terminate()
            process.wait(20)
    assert not list(tmp_path.rglob("*.rows"))
