"""The gate over Langfuse experiment runs, through the command and real HTTP."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from llmops_jobs.cli import main
from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.server import Running, running
from llmops_jobs.demo.server.faults import Fault

BASE, WORSE, BETTER = (
    "rag-answer-v3-baseline",
    "rag-answer-v4-candidate",
    "rag-answer-v5-candidate",
)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(Replay(seed=7, days=30, requests_per_day=20)) as server:
        yield server


@pytest.fixture
def items(server: Running) -> Iterator[Rows]:
    """The stand-in's experiment items, to change; as they were afterwards."""
    kept = server.state.things["experiment-items"]
    server.state.things["experiment-items"] = copy.deepcopy(kept)
    yield server.state.things["experiment-items"]
    server.state.things["experiment-items"] = kept
    server.state.faults.clear()


@pytest.fixture
def folder(tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the demo's gate.yaml, and the stand-in in the environment."""
    Replay(seed=7, days=30, requests_per_day=20).write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def _gate(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["gate", "--config", "gate.yaml", *arguments])
    return int(stop.value.code or 0)


def _against_base(candidate: str, *more: str) -> int:
    return _gate("--baseline", BASE, "--candidate", candidate, *more)


def test_the_prompt_that_lowers_quality_fails(folder: Path, items: Rows) -> None:
    files = ("--junit", "g.xml", "--markdown", "g.md", "--json", "g.json")
    assert _against_base(WORSE, *files) == 1
    verdict = json.loads((folder / "g.json").read_text(encoding="utf-8"))
    of = {decision["metric"]: decision for decision in verdict["decisions"]}
    assert of["groundedness"]["verdict"] == "fail"
    assert of["groundedness"]["items"] == 160
    assert of["groundedness"]["high"] < -0.03
    suite = ElementTree.fromstring((folder / "g.xml").read_text(encoding="utf-8"))
    assert int(suite.get("failures", 0)) >= 2
    assert "| groundedness | ✗ fail | 160 |" in (folder / "g.md").read_text(encoding="utf-8")


def test_its_repair_passes_or_says_how_many_items_would_decide(folder: Path, items: Rows) -> None:
    code = _against_base(BETTER, "--json", "g.json")
    verdict = json.loads((folder / "g.json").read_text(encoding="utf-8"))
    assert (code, verdict["verdict"]) == (0, "pass")


def test_a_run_by_its_id_is_the_same_run(folder: Path, items: Rows) -> None:
    assert _against_base(f"experiment-{BASE}") == 0


def test_a_strict_margin_on_few_differences_is_inconclusive(folder: Path, items: Rows) -> None:
    Path("gate.yaml").write_text("metrics: {correct: {margin: 0.001}}\ndefault: null\n")
    changed = 0
    for row in items:
        if row["experimentName"] == BETTER:
            score = next(s for s in row["scores"] if s["name"] == "correct")
            score["value"] = not score["value"] if changed < 6 else score["value"]
            changed += 1
    assert _against_base(BETTER) == 2


def _named(items: Rows, run: str) -> Rows:
    return [row for row in items if row["experimentName"] == run]


def _unscored(items: Rows) -> None:
    for row in _named(items, WORSE)[100:]:
        row["scores"] = []


def _running(items: Rows) -> None:
    for row in _named(items, WORSE)[100:]:
        items.remove(row)


def _duplicated(items: Rows) -> None:
    again = copy.deepcopy(_named(items, WORSE)[3])
    again["id"], again["traceId"] = "again", "again-trace"
    items.append(again)


def _other_dataset(items: Rows) -> None:
    for row in _named(items, WORSE):
        row["experimentDatasetId"] = "another-dataset"


def _other_items(items: Rows) -> None:
    for row in _named(items, WORSE):
        row["experimentItemId"] = "other-" + row["experimentItemId"]


def _two_of_a_name(items: Rows) -> None:
    for row in copy.deepcopy(_named(items, WORSE)):
        row["experimentId"], row["id"] = "second", "second-" + row["id"]
        items.append(row)


def _scored_twice(items: Rows) -> None:
    for row in _named(items, WORSE):
        row["scores"].append(copy.deepcopy(row["scores"][0]))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_unscored, "60 of 160 items have no score yet: is it still running?"),
        (_running, "100 of the 160 items of its dataset were run: is it still running?"),
        (_duplicated, "was run 2 times and most items 1: 1 are duplicates"),
        (_other_dataset, "ran over dataset dataset-support-golden"),
        (_other_items, "have no item in common"),
        (_two_of_a_name, "2 experiments are called rag-answer-v4-candidate; name one id"),
        (_scored_twice, "has correct more than once"),
        (list.clear, "no experiment called rag-answer-v3-baseline"),
    ],
)
def test_what_cannot_be_compared_is_named(
    folder: Path, items: Rows, capsys: pytest.CaptureFixture[str], spoil: Any, said: str
) -> None:
    spoil(items)
    assert _against_base(WORSE) == 3
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("unauthorized", "refused the keys (401"),
        ("forbidden", "does not let these keys read /api/public/experiments (403"),
        ("old_server", "does not serve /api/public/experiments (404"),
    ],
)
def test_a_refusal_of_the_server_is_named(
    folder: Path,
    server: Running,
    items: Rows,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    said: str,
) -> None:
    server.state.faults.set([Fault(fault, path="/api/public/experiments")])
    assert _against_base(WORSE) == 3
    assert said in capsys.readouterr().err


def test_a_server_that_is_not_there_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANGFUSE_BASE_URL", "http://127.0.0.1:9")
    assert _against_base(WORSE) == 3
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9/api/public/experiments could not be read in 3 tries" in said
