"""A proposed label move: evidence, a person's yes, the move through the API, and the way back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from llmops_jobs.cli import main
from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.demo.server.faults import Fault
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.store import Database
from llmops_jobs.versions.labels import prompt_labels
from llmops_jobs.versions.rollback import move, propose, record

DAY = date(2026, 3, 4)
PROMPTS = [
    {
        "name": "rag",
        "type": "text",
        "version": version,
        "prompt": f"Answer, edition {version}",
        "config": {},
        "labels": labels,
        "tags": [],
        "updatedAt": "2026-03-01T00:00:00.000Z",
    }
    for version, labels in ((1, ["old"]), (2, ["production", "latest"]))
]


@pytest.fixture
def server() -> Iterator[Running]:
    with running(MemorySource(), things={"prompts": copy.deepcopy(PROMPTS)}) as server:
        yield server


@pytest.fixture
def keys(server: Running) -> ProjectKeys:
    return ProjectKeys("local-project", "default", server.url, server.public_key, server.secret_key)


def _comparison(verdict: str = "worse", metric: str = "pass_rate:grounded") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "subject": "prompt:rag",
                "baseline": "1",
                "candidate": "2",
                "metric": metric,
                "slice": "total",
                "n_baseline": 900,
                "n_candidate": 700,
                "baseline_value": 0.92,
                "candidate_value": 0.81,
                "difference": -0.11,
                "low": -0.15,
                "high": -0.07,
                "verdict": verdict,
                "needed": None,
                "caveat": "",
            }
        ]
    )


def _where(keys: ProjectKeys) -> dict[str, int]:
    labels = prompt_labels(keys)
    return dict(zip(labels["label"], labels["version"], strict=True))


def _proposed(database: Database, keys: ProjectKeys) -> str:
    record(database, keys.id, propose(_comparison(), prompt_labels(keys), DAY), DAY)
    rows = database.table("rollback")
    assert rows["status"].tolist() == ["proposed"]
    return str(rows["rollback_id"].iloc[0])


def test_a_worse_version_in_production_is_proposed_with_its_evidence(
    database: Database, keys: ProjectKeys
) -> None:
    _proposed(database, keys)
    row = database.table("rollback").iloc[0]
    assert (row["from_version"], row["to_version"]) == (2, 1)
    assert row["reason"] == "pass_rate:grounded 92.0% → 81.0% (-15.0% to -7.0%, n=700)"
    assert row["expected_effect"] == (
        "pass_rate:grounded +11.0% (+7.0% to +15.0%); risk: nothing is known to get worse"
    )
    assert _where(keys)["production"] == 2  # nothing was moved


def test_what_going_back_would_lose_is_said(keys: ProjectKeys) -> None:
    cheaper = _comparison("better", "cost_per_request").assign(
        baseline_value=0.02, candidate_value=0.01
    )
    unsure = _comparison("not_enough_data", "error_rate")
    night = pd.concat([_comparison(), cheaper, unsure], ignore_index=True)
    (effect,) = propose(night, prompt_labels(keys), DAY)["expected_effect"]
    assert effect.endswith("; risk: cost_per_request 0.01 → 0.02, 1 metrics undecided")


@pytest.mark.parametrize("comparison", [_comparison("same"), _comparison(metric="input_tokens")])
def test_no_worse_quality_means_no_proposal(keys: ProjectKeys, comparison: pd.DataFrame) -> None:
    assert propose(comparison, prompt_labels(keys), DAY).empty


def test_a_proposal_that_the_night_no_longer_supports_is_withdrawn(
    database: Database, keys: ProjectKeys
) -> None:
    _proposed(database, keys)
    record(database, keys.id, propose(_comparison("same"), prompt_labels(keys), DAY), DAY)
    assert database.table("rollback")["status"].tolist() == ["withdrawn"]


def test_the_label_moves_and_can_be_moved_back(database: Database, keys: ProjectKeys) -> None:
    proposal = _proposed(database, keys)
    move(database, keys, proposal, actor="ada")
    assert _where(keys)["production"] == 1
    assert _where(keys)["old"] == 1
    row = database.table("rollback").iloc[0]
    assert (row["status"], row["actor"]) == ("applied", "ada")
    move(database, keys, proposal, actor="ada", undo=True)
    assert _where(keys)["production"] == 2
    # A night that sees the same evidence again does not reopen what a person decided.
    record(database, keys.id, propose(_comparison(), prompt_labels(keys), DAY), DAY)
    assert database.table("rollback")["status"].tolist() == ["undone"]


def test_a_deleted_version_moves_nothing(database: Database, keys: ProjectKeys) -> None:
    proposal = _proposed(database, keys)
    row = database.table("rollback").iloc[0].to_dict()
    database.upsert("rollback", pd.DataFrame([{**row, "to_version": 7}]))
    with pytest.raises(SourceError, match="refused to move production of rag to version 7"):
        move(database, keys, proposal, actor="ada")
    assert database.table("rollback")["status"].tolist() == ["proposed"]
    assert _where(keys)["production"] == 2


@pytest.fixture
def at_home(tmp_path: Path, keys: ProjectKeys, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A home of its own with the stand-in in the environment, and its database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.setenv("LANGFUSE_BASE_URL", keys.base_url)
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", keys.public_key)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", keys.secret_key)
    database = Database(f"sqlite:///{tmp_path}/llmops.db")
    database.create()
    return database


def _prompts(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["prompts", *words])
    return int(stop.value.code or 0)


@pytest.mark.parametrize("refusal", ["deleted", "protected", "no permission"])
def test_a_move_that_langfuse_refuses_moves_nothing_and_exits_three(
    at_home: Database,
    keys: ProjectKeys,
    server: Running,
    capsys: pytest.CaptureFixture[str],
    refusal: str,
) -> None:
    proposal = _proposed(at_home, keys)
    if refusal == "deleted":
        server.state.things["prompts"] = [PROMPTS[1]]
    elif refusal == "protected":
        server.state.protected_labels = frozenset({"production"})
    else:
        server.state.faults.set([Fault("forbidden", path="/prompts/", method="*")])
    assert _prompts("rollback", proposal, "--apply", "--yes") == 3
    said = capsys.readouterr().err
    server.state.faults.clear()
    assert "nothing was moved" in said
    assert f"HTTP {404 if refusal == 'deleted' else 403}" in said
    assert at_home.table("rollback")["status"].tolist() == ["proposed"]
    assert _where(keys)["production"] == 2
    at_home.engine.dispose()


def test_the_command_shows_first_and_moves_only_when_told(
    at_home: Database, keys: ProjectKeys
) -> None:
    proposal = _proposed(at_home, keys)
    assert _prompts("propose") == 0
    assert _prompts("rollback", proposal) == 0
    assert _where(keys)["production"] == 2
    assert _prompts("rollback", proposal, "--apply", "--yes") == 0
    assert _where(keys)["production"] == 1
    assert _prompts("rollback", proposal, "--apply", "--yes") == 1
    assert _prompts("rollback", "nonsense") == 1
    at_home.engine.dispose()
