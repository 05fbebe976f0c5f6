"""Days kept as bytes, with texts written when they are read, answer as rows in memory do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.server import MemorySource, running
from llmops_jobs.demo.server.packed import LINE_KEYS, Packed, PackedRow, lines, pack
from llmops_jobs.demo.server.shapes import OBSERVATION_KEYS, complete_observation
from llmops_jobs.demo.server.spill import Spill
from tests.demo_server.conftest import call, client_of, every_page

END = date(2026, 11, 20)
WIDE = "core,basic,time,metadata,model,usage,prompt,metrics,trace_context"
ALL = f"{WIDE},io"


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay(seed=3, days=3, end=END, requests_per_day=40)


@pytest.fixture(scope="module")
def both(
    replay: Replay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    days = [replay.day(END - timedelta(days=back)) for back in range(3)]
    memory = MemorySource(
        [row for day in days for row in day.observations],
        [row for day in days for row in day.scores],
        replay.project_id,
    )
    with ExitStack() as stack:
        spill = Spill(tmp_path_factory.mktemp("spill"))
        packed = stack.enter_context(running(replay, spill=spill, keep_days=1))
        plain = stack.enter_context(running(memory))
        yield stack.enter_context(client_of(packed)), stack.enter_context(client_of(plain))


def some(replay: Replay, count: int) -> list[str]:
    return [row["id"] for row in replay.day(END).observations[: count * 7 : 7]]


QUERIES: list[dict[str, Any]] = [
    {"fields": WIDE, "limit": 1000},
    {"fields": WIDE, "limit": 33},
    {"fields": ALL, "limit": 50},
    {"fields": "core", "limit": 100},
    {"limit": 70},
    {"fields": f"{WIDE},nonsense", "limit": 100},
    {"fields": WIDE, "expandMetadata": "tool_names", "limit": 200},
    {"fields": WIDE, "level": "ERROR", "limit": 20},
    {
        "fields": WIDE,
        "limit": 90,
        "fromStartTime": f"{END}T06:00:00Z",
        "toStartTime": f"{END}T18:00:00Z",
    },
]
FILTERS: list[list[dict[str, Any]]] = [
    [{"type": "number", "column": "latency", "operator": ">", "value": 2}],
    [{"type": "string", "column": "output", "operator": "matches", "value": "refund"}],
    [{"type": "boolean", "column": "hasOutput", "operator": "=", "value": False}],
    [{"type": "datetime", "column": "endTime", "operator": ">=", "value": f"{END}T20:00:00Z"}],
]


@pytest.mark.parametrize("query", QUERIES)
def test_every_page_is_the_same(
    both: tuple[httpx.Client, httpx.Client], query: dict[str, Any]
) -> None:
    packed, plain = (every_page(client, "v2/observations", **query) for client in both)
    assert sum(map(len, packed)) > 10
    assert packed == plain


@pytest.mark.parametrize("conditions", FILTERS)
def test_conditions_read_what_the_bytes_do_not_show(
    both: tuple[httpx.Client, httpx.Client], conditions: list[dict[str, Any]]
) -> None:
    query = {"fields": ALL, "limit": 60, "filter": json.dumps(conditions)}
    packed, plain = (every_page(client, "v2/observations", **query) for client in both)
    assert packed == plain
    assert sum(map(len, packed)) > 0


def test_texts_of_chosen_rows_are_those_of_the_day(
    both: tuple[httpx.Client, httpx.Client], replay: Replay
) -> None:
    wanted = some(replay, 9)
    only = {"type": "stringOptions", "column": "id", "operator": "any of", "value": wanted}
    query = {"fields": "core,io,metadata", "filter": json.dumps([only])}
    found = both[0].get("v2/observations", params=query).json()["data"]
    texts = {row["id"]: (row["input"], row["output"]) for row in replay.day(END).observations}
    assert sorted(row["id"] for row in found) == sorted(wanted)
    assert all((row["input"], row["output"]) == texts[row["id"]] for row in found)


def test_metrics_and_scores_are_the_same(both: tuple[httpx.Client, httpx.Client]) -> None:
    question = {
        "view": "observations",
        "metrics": [{"measure": "totalCost", "aggregation": "sum"}],
        "dimensions": [{"field": "name"}],
        "fromTimestamp": f"{END - timedelta(days=2)}T00:00:00Z",
        "toTimestamp": f"{END}T23:59:59.999Z",
    }
    answers = [
        client.get("v2/metrics", params={"query": json.dumps(question)}).json() for client in both
    ]
    key = "sum_totalCost"
    packed, plain = (
        {row["name"]: pytest.approx(row[key]) for row in answer["data"]} for answer in answers
    )
    assert packed == plain
    assert len(packed) > 5
    pages = [every_page(client, "v3/scores", limit=100) for client in both]
    assert pages[0] == pages[1]


def test_a_row_is_decoded_only_when_more_than_its_place_is_read() -> None:
    rows = [complete_observation(call(n, input="question", metadata={"a": "x" * 300}), "p")
            for n in range(3)]  # fmt: skip
    packed = pack(rows)
    assert lines(list(packed), LINE_KEYS) == packed.columns[3]
    assert lines(list(packed), ("id",)) is None
    (first, *_) = packed
    assert isinstance(first, PackedRow)
    assert first["id"] == "obs-0000" and len(first) == 3
    assert first["input"] == "question" and first["metadata"] == {"a": "x" * 300}
    assert list(first) == list(OBSERVATION_KEYS)
    last = packed[2]
    assert isinstance(last, PackedRow)
    assert last.whole() == rows[2]
    assert len(packed[1:]) == 2
    assert packed.times == [row["startTime"] for row in rows]


def test_a_packed_day_comes_back_from_disk(tmp_path: Path) -> None:
    spill, rows = Spill(tmp_path), [complete_observation(call(n), "p") for n in range(5)]
    spill.write("observations", END, pack(rows))
    spill.write("scores", END, [{"id": "s"}])
    read = spill.read("observations", END)
    assert isinstance(read, Packed)
    assert [row.whole() for row in read if isinstance(row, PackedRow)] == rows
    assert spill.read("scores", END) == [{"id": "s"}]
    assert spill.read("scores", END - timedelta(days=1)) is None
