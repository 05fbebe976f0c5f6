"""Picks for people through the command line, and scores written back, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
from click.testing import CliRunner

from llmops_jobs.cli import llmops
from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.evals.labelled import labelled
from llmops_jobs.evals.labels import human_labels
from llmops_jobs.evals.measure import score_day
from llmops_jobs.evals.run import prepared
from llmops_jobs.evals.sampling import choose_texts, votes
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.evals.write_back import write_back
from tests.evals.test_night import land
from tests.facts import DAY


@pytest.fixture
def langfuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A Langfuse with a queue, and a deployment whose day is scored."""
    with running(MemorySource([], [])) as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def scored(answers: list[str], labels: dict[int, bool] | None = None) -> tuple[Deployment, str]:
    deployment = Deployment.from_environment()
    project = deployment.projects()[0].id
    land(deployment.lake, DAY, answers, labels=labels, project=project)
    score_day(prepared(deployment)[project], project, DAY)
    return deployment, project


def queue(server: Running) -> str:
    with httpx.Client(
        base_url=server.url, auth=(server.public_key, server.secret_key), verify=False
    ) as http:
        body = {"name": "correctness", "scoreConfigIds": []}
        return str(http.post("/api/public/annotation-queues", json=body).json()["id"])


def items(server: Running, queue_id: str) -> list[str]:
    with httpx.Client(
        base_url=server.url, auth=(server.public_key, server.secret_key), verify=False
    ) as http:
        answer = http.get(f"/api/public/annotation-queues/{queue_id}/items", params={"limit": 100})
        return [item["objectId"] for item in answer.json()["data"]]


def test_picks_land_in_the_queue_with_their_probability_on_record(langfuse: Running) -> None:
    deployment, project = scored(["Fine, it is on its way."] * 40 + [""] * 2, labels={0: True})
    queue_id = queue(langfuse)
    command = ["label", "--queue", "correctness", "--day", str(DAY), "--count", "10"]
    shown = CliRunner().invoke(llmops, [*command, "--dry-run"])
    assert shown.exit_code == 0 and "nothing written" in shown.output
    assert items(langfuse, queue_id) == []
    done = CliRunner().invoke(llmops, command)
    assert done.exit_code == 0 and "10 of 10 picks" in done.output
    assert len(items(langfuse, queue_id)) == 10
    picks = deployment.database.table("label_pick", project)
    assert set(picks["observation_id"]) == set(items(langfuse, queue_id))
    assert "o0" not in set(picks["observation_id"])  # labelled already
    assert (1 / picks["inclusion_probability"]).sum() == pytest.approx(39, rel=0.05)
    again = CliRunner().invoke(llmops, command)
    assert again.exit_code == 0
    assert len(set(items(langfuse, queue_id))) == 20  # others, none twice


def test_an_unknown_queue_is_named_with_those_there_are(langfuse: Running) -> None:
    scored(["Fine, it is on its way."])
    queue(langfuse)
    found = CliRunner().invoke(llmops, ["label", "--queue", "nope", "--day", str(DAY)])
    assert "no annotation queue 'nope'; there are: correctness" in str(found.exception)


def test_a_label_on_a_pick_weighs_as_much_as_the_pick_was_rare(langfuse: Running) -> None:
    deployment, project = scored(["Fine."] * 4)
    picks = pd.DataFrame(
        {
            "project_id": project,
            "day": DAY,
            "trace_id": [f"{DAY}-0", f"{DAY}-1"],
            "observation_id": ["o0", "o1"],
            "metric": "correct",
            "inclusion_probability": [0.5, 0.25],
            "reason": "estimate",
        }
    )
    deployment.database.upsert("label_pick", picks)
    land(deployment.lake, DAY, ["Fine."] * 4, labels={0: True, 1: False}, project=project)
    rows = labelled(deployment.lake, deployment.database, project, DAY, EvalSettings())
    rows = rows.sort_values("trace_id")
    assert list(rows["w"]) == [2.0, 4.0] and list(rows["y"]) == [1.0, 0.0]


def test_only_scorers_that_are_named_are_written_back_and_only_once(langfuse: Running) -> None:
    deployment, _ = scored(["Fine, it is on its way.", ""])
    keys = deployment.projects()[0]
    arguments = (deployment.lake, deployment.database, keys, DAY)
    assert write_back(*arguments, EvalSettings()) == 0
    settings = EvalSettings(write_back=("empty", "length"))
    assert write_back(*arguments, settings) == write_back(*arguments, settings) == 3
    with httpx.Client(auth=(keys.public_key, keys.secret_key), verify=False) as http:
        found = http.get(f"{keys.base_url}/api/public/v3/scores", params={"limit": 100}).json()
    kept = {(s["name"], s["dataType"], s["value"]) for s in found["data"]}
    assert len(found["data"]) == 3
    assert {name for name, _, _ in kept} == {"empty", "length"}


def test_what_was_written_back_is_neither_a_vote_nor_a_label_when_it_is_pulled(
    langfuse: Running,
) -> None:
    deployment, project = scored(["Fine, it is on its way.", "", ""])
    keys, settings = deployment.projects()[0], EvalSettings(write_back=("empty",))
    assert write_back(deployment.lake, deployment.database, keys, DAY, settings) == 3
    days = ["--from", str(DAY), "--to", str(DAY)]
    done = CliRunner().invoke(llmops, ["run", *days, "--select", "scores"])
    assert done.exit_code == 0, (done.output, done.exception)
    pulled = deployment.lake.read_day("scores", project, DAY)
    assert sorted(pulled["value"].to_pylist()) == [0.0, 0.0, 1.0]
    assert set(pulled["source"].to_pylist()) == {"EVAL"}
    assert votes(pulled) == {} and human_labels(pulled).empty
    chosen = choose_texts(deployment.lake.read_day("observations", project, DAY), pulled, 1, 0)
    assert (chosen["inclusion_probability"].to_numpy() < 1).all()
    # Nothing is left to send, until a value changes.
    assert write_back(deployment.lake, deployment.database, keys, DAY, settings) == 0
