"""The stand-in answers as a real server was recorded to answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.demo.server.limits import Limits
from tests.demo_server.recorded import is_abbreviation, pairs, rows_in, shape

DUAL = "the server's legacy mode (dual), which the stand-in does not have"
UNSUPPORTED = {
    "dual-metrics-daily": DUAL,
    "dual-metrics-v1": DUAL,
    "dual-observation-by-id": DUAL,
    "dual-observations-limit-101": DUAL,
    "dual-observations-v1": DUAL,
    "dual-scores-v1": DUAL,
    "dual-scores-v2": DUAL,
    "dual-sessions": DUAL,
    "dual-trace-404": DUAL,
    "dual-trace-by-id": DUAL,
    "dual-traces-fields-core": DUAL,
    "dual-traces-limit-101": DUAL,
    "dual-traces-list": DUAL,
    "dual-traces-page2": DUAL,
    "cloud-429-legacy-traces-404": "cloud's deprecation notice on a legacy route",
}
# Answers whose text is the recorded server's own build, not its behaviour.
OWN_PAGE = {"err-404-unknown-path", "err-404-evaluation-rules"}
KEYS = {
    "err-401-no-auth": None,
    "err-401-unknown-key": ("pk-lf-unknown", "sk-lf-standin"),
    "err-401-wrong-secret": ("pk-lf-standin", "sk-lf-wrong"),
    "err-401-bearer-secret": "Bearer sk-lf-standin",
    "err-403-bearer-public": "Bearer pk-lf-standin",
}


@pytest.fixture(scope="module")
def recorded(shared: Callable[[str], Path]) -> dict[str, Any]:
    return pairs(shared("langfuse_recorded"))


@pytest.fixture(scope="module")
def stand_in(recorded: dict[str, Any]) -> Iterator[Running]:
    with loaded(recorded) as server:
        yield server


@contextmanager
def loaded(recorded: dict[str, Any]) -> Iterator[Running]:
    """A stand-in with the very rows that the recorded answers show."""
    observations = rows_in(recorded, "startTime")
    scores = rows_in(recorded, "timestamp")
    source = MemorySource(padded(observations), padded_scores(scores), "local-project")
    with running(source, things=things_in(recorded)) as server:
        yield server


def padded(rows: list[Any]) -> list[Any]:
    """With as many older rows as it takes to fill a page of a thousand."""
    oldest = min(rows, key=lambda row: row["startTime"])
    copies = [
        {**oldest, "id": f"{place:016x}", "traceId": f"{place:032x}",
         "startTime": f"2026-11-{1 + place % 20:02d}T00:00:00.000Z"}
        for place in range(1000)
    ]  # fmt: skip
    return rows + copies


def padded_scores(rows: list[Any]) -> list[Any]:
    newest = {row["dataType"]: row for row in rows}
    copies = [
        {**row, "id": f"{kind}-{place}", "timestamp": f"2026-11-{1 + place % 20:02d}T00:00:00.000Z"}
        for kind, row in newest.items()
        for place in range(40)
    ]
    for place, row in enumerate(copies):
        if row["dataType"] == "BOOLEAN":
            row["value"] = place % 3 > 0
    return rows + copies


def things_in(recorded: dict[str, Any]) -> dict[str, list[Any]]:
    """Prompts, models and the rest, as the recorded server had them."""
    prompts = {
        (body["name"], body["version"]): {k: v for k, v in body.items() if k != "resolutionGraph"}
        for name, pair in recorded.items()
        if name.startswith("prompt-get") and (body := pair["body"])
    }
    models = [model for model in recorded["models-list"]["body"]["data"] if isinstance(model, dict)]
    models += [{**models[0], "id": f"m{place}"} for place in range(200)]
    return {
        "prompts": list(prompts.values()),
        "models": models,
        "score-configs": list(recorded["score-configs"]["body"]["data"]),
        "comments": list(recorded["comments"]["body"]["data"]),
        "datasets": list(recorded["datasets"]["body"]["data"]),
        "dataset-items": list(recorded["dataset-items"]["body"]["data"]),
    }


def ask(server: Running, name: str, request: dict[str, Any]) -> httpx.Response:
    keys = KEYS.get(name, (server.public_key, server.secret_key))
    headers = {"authorization": keys} if isinstance(keys, str) else {}
    return httpx.request(
        request["method"],
        server.url + request["url"],
        json=request["body"],
        auth=keys if isinstance(keys, tuple) else None,
        headers=headers,
    )


def names() -> list[str]:
    """The recorded names are known before collection only when the recordings are there."""
    from tests.conftest import SHARED

    return list(pairs(SHARED / "langfuse_recorded")) or ["no recordings"]


@pytest.mark.parametrize("name", names())
def test_the_stand_in_answers_a_recorded_request_in_the_recorded_shape(
    name: str, recorded: dict[str, Any], stand_in: Running
) -> None:
    if name in UNSUPPORTED:
        pytest.skip(UNSUPPORTED[name])
    pair = recorded[name]
    if pair["status"] == 429:
        stand_in.state.limits = Limits({"general": 1})
    try:
        answer = ask(stand_in, name, pair["request"])
    finally:
        stand_in.state.limits = Limits()
    assert answer.status_code == pair["status"]
    assert answer.headers["content-type"] == pair["headers"]["content-type"]
    assert set(pair["headers"]) <= set(answer.headers)
    if name in OWN_PAGE:
        assert answer.text.startswith("<!DOCTYPE html>")
        return
    got, wanted = shape(answer.json()), shape(pair["body"])
    assert not differences(got, wanted), differences(got, wanted)
    if pair["status"] >= 400 and name not in KEYS and pair["status"] != 429:
        assert whole_words(answer.json(), pair["body"])


READS = ("observations-v2", "err-observations-v2-bad-field", "scores-v3")


def test_the_rows_of_a_page_are_the_recorded_rows(
    recorded: dict[str, Any],
) -> None:
    compared = 0
    read = {name: pair for name, pair in recorded.items() if name.startswith(READS)}
    with loaded(recorded) as server:  # untouched by the recorded writes and deletions
        bodies = {name: ask(server, name, pair["request"]).json() for name, pair in read.items()}
    for name, pair in read.items():
        body = bodies[name]
        rows = [row for row in pair["body"]["data"] if isinstance(row, dict)]
        assert body["data"][: len(rows)] == rows, name
        if len(rows) == len(pair["body"]["data"]):
            assert body["meta"] == pair["body"]["meta"], name
        compared += len(rows)
    assert compared > 50


def differences(got: Any, wanted: Any, path: str = "$") -> list[str]:
    """Where the shapes differ. In a list, every shape that the real server showed must be among
    ours; ours may have others, since the rows are not all the same."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        found = (
            [f"{path}: keys {sorted(set(got) ^ set(wanted))}"] if set(got) != set(wanted) else []
        )
        for key in set(got) & set(wanted):
            found += differences(got[key], wanted[key], f"{path}.{key}")
        return found
    if isinstance(wanted, list) and isinstance(got, list):
        if bool(got) != bool(wanted):
            return [f"{path}: {len(got)} shapes, not {len(wanted)}"]
        best = []
        for element in wanted:
            tries = [differences(json.loads(g), json.loads(element), f"{path}[]") for g in got]
            best += min(tries, key=len)
        return best
    return [] if got == wanted else [f"{path}: {got}, not {wanted}"]


def whole_words(got: Any, wanted: Any) -> bool:
    """Error bodies word for word; the recorder's abbreviations stand for anything."""
    if isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(whole_words(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        kept = [item for item in wanted if not is_abbreviation(item)]
        return len(got) >= len(kept) and all(map(whole_words, got, kept))
    return bool(got == wanted)


def test_rows_that_came_as_opentelemetry_spans_are_served_as_they_were_recorded(
    shared: Callable[[str], Path],
) -> None:
    rows = json.loads(shared("langfuse_recorded/otlp-edge-cases.json").read_text())["data"]
    with running(MemorySource(rows, project_id=rows[0]["projectId"])) as server:
        fields = "core,basic,time,io,metadata,model,usage,metrics"
        answer = httpx.get(
            f"{server.url}/api/public/v2/observations",
            params={"fields": fields, "limit": 1000},
            auth=(server.public_key, server.secret_key),
        )
    assert answer.json()["data"] == rows


def test_the_list_of_what_is_not_supported_is_exact(recorded: dict[str, Any]) -> None:
    legacy = {name for name in recorded if name.startswith(("dual-", "cloud-"))}
    assert set(UNSUPPORTED) == legacy
    assert set(KEYS) | OWN_PAGE <= set(recorded)
