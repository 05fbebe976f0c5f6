"""What a past day ran with, how two days differ, and a past request with all that it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from llmops_jobs.cli import main
from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.facts import DAY, PROJECT, facts

NEXT = DAY + timedelta(days=1)
PROMPTS = [
    {
        "name": "rag",
        "type": "text",
        "version": version,
        "prompt": f"Answer {how}.\nUse the context.",
        "config": {"temperature": temperature},
        "labels": [],
        "tags": [],
        "updatedAt": "2026-03-01T00:00:00.000Z",
    }
    for version, how, temperature in ((3, "briefly", 0.2), (4, "freely", 0.9))
]


@pytest.fixture
def server() -> Iterator[Running]:
    with running(MemorySource(), things={"prompts": list(PROMPTS)}) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two days: version 3 at 0.2, then mostly version 4 at 0.9, answered by another model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "llmops.yaml").write_text(f"projects: [{{name: default, id: {PROJECT}}}]\n")
    lake = Lake(str(tmp_path / "lake"))
    old = {"prompt_name": "rag", "prompt_version": 3, "model_parameters": '{"temperature":0.2}'}
    new = {"prompt_name": "rag", "prompt_version": 4, "model_parameters": '{"temperature":0.9}'}
    days = {
        DAY: [{**old, "observation_id": f"o{n}", "trace_id": f"t{n}"} for n in range(10)],
        NEXT: [
            {**(old if n < 2 else new), "observation_id": f"o{n}", "trace_id": f"n{n}"}
            | {"model": "gpt-4o-mini-2", "day": NEXT, "start_time": pd.Timestamp(NEXT, tz="UTC")}
            for n in range(10)
        ],
    }
    for day, rows in days.items():
        lake.replace_day("observations", PROJECT, day, facts("observations", rows))
    database = Database(f"sqlite:///{tmp_path}/llmops.db")
    database.create()
    database.upsert("project", pd.DataFrame([{"project_id": PROJECT, "name": "default"}]))
    for day, version in ((DAY, 3), (NEXT, 4)):
        label = {"prompt_name": "rag", "label": "production", "version": version}
        rows = pd.DataFrame([{**label, "content_hash": ""}])
        database.replace_day("prompt_label", PROJECT, day, rows)
    database.engine.dispose()
    return tmp_path


def _llmops(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def test_a_past_day_is_shown_as_it_was(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _llmops("prompts", "show", DAY) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rag  production=3",
        '  100.0%  version 3    gpt-4o-mini  {"temperature":0.2}  tools []  release -',
    ]
    assert _llmops("prompts", "show", NEXT, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == {"rag": {"production": 4}}
    assert [row["share"] for row in found["combinations"]] == [0.8, 0.2]


def test_two_days_are_told_apart(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _llmops("prompts", "diff", DAY, NEXT) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rag: label production 3 → 4",
        "rag: prompt_version 3 100% → 20%",
        "rag: prompt_version 4 0% → 80%",
        "rag: model gpt-4o-mini 100% → 0%",
        "rag: model gpt-4o-mini-2 0% → 100%",
        'rag: parameters {"temperature":0.2} 100% → 20%',
        'rag: parameters {"temperature":0.9} 0% → 80%',
    ]
    assert _llmops("prompts", "diff", DAY, DAY) == 0
    assert capsys.readouterr().out == "nothing is different\n"


def test_the_prompts_own_text_is_compared_when_asked_for(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _llmops("prompts", "diff", DAY, NEXT, "--text") == 0
    said = capsys.readouterr().out
    assert f"--- rag 3 ({DAY})\n+++ rag 4 ({NEXT})\n" in said
    assert "-Answer briefly.\n+Answer freely.\n" in said
    assert '- "temperature": 0.2\n+ "temperature": 0.9\n' in said


def test_a_deleted_version_and_a_day_without_calls_are_named(
    home: Path, server: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    server.state.things["prompts"] = [PROMPTS[1]]
    assert _llmops("prompts", "diff", DAY, NEXT, "--text") == 1
    assert "prompt rag version 3: " in capsys.readouterr().err
    assert _llmops("prompts", "show", "2026-01-01") == 1
    assert f"no call on 2026-01-01: days are {DAY} to {NEXT}" in capsys.readouterr().err


def test_a_past_request_comes_with_its_prompt_and_labels(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _llmops("replay", "n5") == 0
    (call,) = json.loads(capsys.readouterr().out)["calls"]
    assert call["prompt"] == {"name": "rag", "version": 4, "labels": ["production"]}
    assert call["model"]["parameters"] == {"temperature": 0.9}
    assert _llmops("replay", "n5", "--content") == 1
    assert "set report.include_text" in capsys.readouterr().err
    with (home / "llmops.yaml").open("a") as file:
        file.write("report: {include_text: true}\n")
    assert _llmops("replay", "n5", "--content") == 0
    (call,) = json.loads(capsys.readouterr().out)["calls"]
    assert call["prompt"]["text"].startswith("Answer freely.")


def test_a_past_request_of_a_deleted_version_says_so(
    home: Path, server: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    server.state.things["prompts"] = []
    with (home / "llmops.yaml").open("a") as file:
        file.write("report: {include_text: true}\n")
    assert _llmops("replay", "n5", "--content") == 0
    (call,) = json.loads(capsys.readouterr().out)["calls"]
    assert "prompt rag version 4: " in call["prompt"]["text_missing"]
