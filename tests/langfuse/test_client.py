"""Each way in which a server can fail: another try, a smaller question, or one clear sentence."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmops_jobs.demo.server import MemorySource, running
from llmops_jobs.demo.server.faults import Fault
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.answers import TooMuchError
from llmops_jobs.langfuse.client import Client, Patience, probe
from llmops_jobs.langfuse.limits import WINDOW_S, RateLimit, is_cloud, shared_limit
from llmops_jobs.langfuse.project import ProjectKeys
from tests.langfuse.wire_rows import observation

PATH = "/api/public/v2/observations"
QUICK = Patience(tries=3, first_wait=0.001, longest_wait=0.002, connect=2, read=0.6, whole=1.0)


@pytest.fixture(scope="module")
def server() -> Any:
    with running(MemorySource([observation(n) for n in range(3)])) as started:
        yield started


@pytest.fixture
def client(server: Any) -> Any:
    server.state.faults.clear()
    slept: list[float] = []
    limit = RateLimit(None, clock=lambda: sum(slept), sleep=slept.append)
    keys = ProjectKeys("local-project", "test", server.url, server.public_key, server.secret_key)
    with Client(keys, limit, QUICK, sleep=slept.append) as opened:
        opened.slept = slept
        yield opened
    server.state.faults.clear()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("unauthorized", "refused the keys.*public and the secret key"),
        ("forbidden", "does not let these keys read"),
        ("old_server", "Langfuse 4 server .* is needed; a version 3 server"),
        ("html_page", "web page instead of JSON: LANGFUSE_BASE_URL"),
        ("server_error", "could not be read in 3 tries: 500"),
        ("bad_gateway", "could not be read in 3 tries: 502"),
        ("unavailable", "could not be read in 3 tries: 503"),
        ("dropped_connection", "could not be read in 3 tries"),
        ("truncated_gzip", "could not be read in 3 tries"),
        ("half_page", "could not be read in 3 tries"),
        ("cut_json", "could not be read in 3 tries.*not the JSON of the API"),
    ],
)
def test_a_lasting_fault_is_one_sentence_that_names_the_place(
    server: Any, client: Any, kind: str, sentence: str
) -> None:
    server.state.faults.set([kind])
    with pytest.raises(SourceError) as raised:
        client.get(PATH, [("limit", "3")], orjson.loads)
    said = str(raised.value)
    assert re.search(sentence, said)
    assert server.url in said or PATH in said
    assert "\n" not in said
    assert server.secret_key not in said


@pytest.mark.parametrize(
    "kind",
    (
        "server_error",
        "bad_gateway",
        "dropped_connection",
        "truncated_gzip",
        "half_page",
        "cut_json",
    ),
)
def test_a_passing_fault_is_tried_again(server: Any, client: Any, kind: str) -> None:
    server.state.faults.set([Fault(kind, last=2)])
    answer = client.get(PATH, [("limit", "3")], orjson.loads)
    assert len(answer["data"]) == 3
    assert client.traffic.retries == 2


def test_a_long_wait_that_the_server_asks_for_is_obeyed_and_costs_no_try(
    server: Any, client: Any
) -> None:
    server.state.faults.set([Fault("rate_limited", last=5, seconds=4000)])
    assert client.get(PATH, [("limit", "1")], orjson.loads)["data"]
    assert sum(client.slept) >= 5 * 4000


def test_too_much_is_told_apart_from_a_failure(server: Any, client: Any) -> None:
    server.state.faults.set(["timeout_422"])
    with pytest.raises(TooMuchError, match="422"):
        client.get(PATH, [("limit", "1")], orjson.loads)
    assert client.traffic.retries == 0


def test_a_body_that_drips_is_given_up_after_the_deadline(server: Any, client: Any) -> None:
    server.state.faults.set([Fault("slow_drip", seconds=20)])
    with pytest.raises(TooMuchError, match="slow"):
        client.get(PATH, [("limit", "3")], orjson.loads)


def test_an_unreachable_server_is_named(unused_port: int) -> None:
    keys = ProjectKeys("p", "test", f"http://127.0.0.1:{unused_port}", "pk", "sk-very-secret")
    with (
        Client(keys, patience=QUICK) as client,
        pytest.raises(SourceError, match=rf"127.0.0.1:{unused_port}.*cannot connect") as raised,
    ):
        client.json("/api/public/health")
    assert "sk-very-secret" not in str(raised.value)


def test_the_secret_is_in_no_representation_of_the_keys() -> None:
    assert "sk-x" not in repr(ProjectKeys("p", "n", "http://h", "pk", "sk-x"))


@pytest.mark.parametrize(
    ("mode", "version", "sentence"),
    [
        ("v3", "3.110.0", "is Langfuse 3.110.0: version 4 or newer is needed"),
        ("v3", "4.2.0", "Langfuse 4 server in its events_only or dual mode is needed"),
        ("ancient", "4.2.0", "Langfuse 4 server in its events_only or dual mode is needed"),
    ],
)
def test_a_server_of_another_generation_is_refused_with_what_is_needed(
    mode: Any, version: str, sentence: str
) -> None:
    with running(MemorySource(), mode=mode, version=version) as old:
        keys = ProjectKeys("", "test", old.url, old.public_key, old.secret_key)
        with pytest.raises(SourceError, match=sentence):
            probe(keys)


def test_a_healthy_server_is_told_with_version_and_project(server: Any) -> None:
    server.state.faults.clear()
    keys = ProjectKeys("", "test", server.url, server.public_key, server.secret_key)
    assert probe(keys).startswith("Langfuse 4.16.0, project ")


def test_wrong_keys_are_refused_by_the_real_check(server: Any) -> None:
    server.state.faults.clear()
    with pytest.raises(SourceError, match="refused the keys"):
        probe(ProjectKeys("", "test", server.url, server.public_key, "sk-wrong"))


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_a_budget_sends_one_less_than_the_limit_in_each_window() -> None:
    clock = Clock()
    limit = RateLimit(30, clock, clock.sleep)
    sent = []
    for _ in range(90):
        limit.take()
        sent.append(clock.now)
    for opened in sent:
        assert sum(opened <= at < opened + 60 for at in sent) <= 29
    assert clock.now == pytest.approx(3 * WINDOW_S)


def test_everybody_waits_when_the_server_says_so() -> None:
    clock = Clock()
    limit = RateLimit(None, clock, clock.sleep)
    limit.close_for(55)
    limit.take()
    assert clock.now == pytest.approx(55)


def test_projects_of_one_organization_share_a_budget_and_others_do_not() -> None:
    one = shared_limit("https://one.test", "org", 30)
    assert shared_limit("https://one.test", "org", 100) is one
    assert one.per_minute == 30
    assert shared_limit("https://one.test", "other", 30) is not one


def test_threads_never_pass_the_budget_together() -> None:
    limit = RateLimit(50)
    taken: list[float] = []
    threads = [threading.Thread(target=lambda: taken.append(limit.take())) for _ in range(49)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [0.0] * 49
    assert limit._try() > 0


def test_the_cloud_is_known_by_its_name_and_has_a_limit_where_others_have_none() -> None:
    assert is_cloud("https://us.cloud.langfuse.com")
    assert not is_cloud("https://langfuse.com.example.org")
    assert shared_limit("https://cloud.langfuse.com", "o", None).per_minute == 1000
    assert shared_limit("https://langfuse.mine.test", "o", None).per_minute is None


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_recorded_errors_are_sentences(shared: Callable[[str], Path]) -> None:
    """The bodies that a real server sent with each error."""
    import httpx

    from llmops_jobs.langfuse import answers

    expected = {
        "err-401-unknown-key": "refused the keys",
        "err-403-bearer-public": "does not let these keys read",
        "eventsonly-404-observations-v1": "Langfuse 4 server",
        "err-404-unknown-path": "Langfuse 4 server",
        "err-observations-v2-bad-cursor": "answered 400",
        "err-observations-v2-date-only": "answered 400: Invalid request data: fromStartTime",
    }
    for name, sentence in expected.items():
        recorded = orjson.loads((shared("langfuse_recorded") / f"{name}.json").read_bytes())
        body = recorded["body"]
        content = body.encode() if isinstance(body, str) else orjson.dumps(body)
        response = httpx.Response(
            recorded["status"],
            headers=recorded["headers"],
            request=httpx.Request("GET", f"https://langfuse.test{recorded['request']['url']}"),
        )
        with pytest.raises(SourceError, match=sentence):
            answers.check(response, content, "https://langfuse.test")


def test_the_recorded_rate_limit_says_how_long(shared: Callable[[str], Path]) -> None:
    import httpx

    from llmops_jobs.langfuse.answers import TryAgainError, check

    recorded = orjson.loads(shared("langfuse_recorded/err-429-observations-v2.json").read_bytes())
    request = httpx.Request("GET", "https://langfuse.test/x")
    for headers in (recorded["headers"], {}):
        response = httpx.Response(429, headers=headers, request=request)
        with pytest.raises(TryAgainError) as raised:
            check(response, orjson.dumps(recorded["body"]), "https://langfuse.test")
        assert raised.value.wait == 55
