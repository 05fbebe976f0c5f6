"""Scores written back: the same on every run, counted, and read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.langfuse.client import Client, Patience
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.score_writer import (
    RefusedError,
    Score,
    ScoreWriter,
    _unacknowledged_list,
    takes_arrays,
)
from tests.langfuse.wire_rows import observation

WHEN = datetime(2026, 3, 4, 12, tzinfo=UTC)


def given(number: int = 0, **values: Any) -> Score:
    return Score(
        **{
            "name": "faithful",
            "value": 0.5,
            "trace_id": f"t{number}",
            "timestamp": WHEN,
            "scorer": "judge",
            "scorer_version": "3",
            **values,
        }
    )


@pytest.fixture(scope="module", params=["4.16.0", "4.60.1"])
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(MemorySource([observation(1)]), version=request.param) as started:
        yield started


@pytest.fixture
def writer(server: Running) -> Iterator[ScoreWriter]:
    server.state.faults.clear()
    keys = ProjectKeys("local-project", "test", server.url, server.public_key, server.secret_key)
    with Client(keys, patience=Patience(tries=3, first_wait=0.001)) as client:
        yield ScoreWriter(client)


def test_scores_are_written_with_their_own_time_and_read_again(
    server: Running, writer: ScoreWriter
) -> None:
    scores = [
        given(1),
        given(2, value=True, name="grounded"),
        given(3, value="refusal", name="kind", observation_id="o6"),
    ]
    assert writer.write(scores) == 3
    assert writer.missing(scores, within=0) == []
    keys = writer._client
    rows = keys.json("/api/public/v3/scores", [("id", scores[2].id), ("fields", "subject")])["data"]
    assert rows[0]["timestamp"] == "2026-03-04T12:00:00.000Z"
    assert rows[0]["subject"] == {"kind": "observation", "id": "o6", "traceId": "t3"}


def test_writing_again_changes_nothing(server: Running, writer: ScoreWriter) -> None:
    scores = [given(n, name="again") for n in range(20)]
    assert writer.write(scores) == writer.write(scores) == 20
    found = writer._client.json("/api/public/v3/scores", [("limit", "100"), ("name", "again")])
    assert len(found["data"]) == 20


def test_a_lost_answer_is_sent_again_and_still_written_once(
    server: Running, writer: ScoreWriter
) -> None:
    server.state.faults.set(
        [{"kind": "bad_gateway", "path": "/api/public", "method": "POST", "last": 1}]
    )
    scores = [given(n, name="once") for n in range(5)]
    assert writer.write(scores) == 5
    assert writer.missing(scores, within=0) == []


def test_a_refused_score_is_named_and_the_others_are_written(
    server: Running, writer: ScoreWriter
) -> None:
    bad = given(8, name="broken", value="")
    good = [given(n, name="fine") for n in range(3)]
    with pytest.raises(RefusedError, match=r"took 3 of 4 scores; not: broken of t8") as raised:
        writer.write([*good, _Refused(**{**bad.__dict__, "value": 1.0})])
    assert len(raised.value.names) == 1
    assert writer.missing(good, within=0) == []


class _Refused(Score):
    """A score whose body no server takes."""

    def body(self) -> dict[str, Any]:
        return {**super().body(), "dataType": "VECTOR"}


def test_what_cannot_be_read_again_is_returned(server: Running, writer: ScoreWriter) -> None:
    written = given(1, name="kept")
    writer.write([written])
    never = given(2, name="never written")
    changed = given(1, name="kept", value=0.9)
    slept: list[float] = []
    assert writer.missing([written, never, changed], within=20, sleep=slept.append) == [
        never,
        changed,
    ]
    assert 20 <= sum(slept) <= 40


def test_an_id_does_not_depend_on_when_or_what_but_on_who_scored_which() -> None:
    first = given(1)
    assert first.id == given(1, value=0.9, timestamp=WHEN + timedelta(days=3)).id
    others = [given(2), given(1, scorer="rule"), given(1, scorer_version="4"), given(1, name="x")]
    assert len({first.id, *(other.id for other in others)}) == 5


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"timestamp": datetime(2026, 3, 4)}, "no time zone"),
        ({"environment": "langfuse-judge"}, "reserved"),
        ({"value": float("nan")}, "not a number"),
        ({"trace_id": ""}, "needs a name and a trace"),
    ],
)
def test_a_score_that_no_server_takes_is_not_sent(
    writer: ScoreWriter, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        writer.write([given(1), given(5, **values)])
    with pytest.raises(ValueError, match="id of another"):
        writer.write([given(1), given(1)])


def test_the_version_decides_the_way() -> None:
    assert not takes_arrays("4.16.0")
    assert not takes_arrays("4.58.9")
    assert takes_arrays("4.59.0")
    assert takes_arrays("5.0.0")
    assert takes_arrays("")


def test_counts_that_do_not_add_up_are_an_error_for_every_score() -> None:
    batch = [given(n) for n in range(3)]
    assert _unacknowledged_list(batch, {"message": "Accepted"}) == {}
    short = _unacknowledged_list(batch, {"accepted": 1, "rejected": 0, "errors": []})
    assert len(short) == 3
    assert len(_unacknowledged_list(batch, None)) == 3
    one = {"accepted": 2, "rejected": 1, "errors": [{"index": 1, "message": "no"}]}
    assert _unacknowledged_list(batch, one) == {batch[1].id: "no"}


def test_the_recorded_answer_of_a_real_server_is_understood(
    shared: Callable[[str], Path],
) -> None:
    """A 207 in which one event was refused and one was taken."""
    recorded = orjson.loads(shared("langfuse_recorded/eventsonly-post-ingestion.json").read_bytes())
    score = given(1)

    class Recorded:
        def post(self, path: str, content: bytes, decode: Any) -> Any:
            sent = orjson.loads(content)["batch"][0]["id"]
            return orjson.loads(
                orjson.dumps(recorded["body"]).replace(b'"e2"', f'"{sent}"'.encode())
            )

    writer = ScoreWriter.__new__(ScoreWriter)
    writer._client, writer._arrays = Recorded(), False  # type: ignore[assignment]
    assert writer._send([score]) == {}
