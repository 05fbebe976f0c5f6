"""The example workflow's steps, run as they stand in a real git repository; the pytest plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

_EVAL = """
import pytest
ANSWERS = {answers}
@pytest.mark.parametrize("i", range(40), ids=[f"q{{i}}" for i in range(40)])
def test_answer(i, llmops_record):
    llmops_record("length", len(ANSWERS[i]))
    assert ANSWERS[i] == "right"
"""


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def _commit(folder: Path, failing: int) -> None:
    answers = ["wrong" if i < failing else "right" for i in range(40)]
    (folder / "evals").mkdir(exist_ok=True)
    (folder / "evals" / "test_answers.py").write_text(_EVAL.format(answers=answers))
    rule = "metrics: {pass: {margin: 0.05}, length: {margin: 1.0, higher_is_better: false}}\n"
    (folder / "gate.yaml").write_text(rule)
    _git(folder, "add", "-A")
    _git(folder, "commit", "-m", f"{failing} fail")


def _steps(folder: Path) -> subprocess.CompletedProcess[str]:
    workflow = yaml.safe_load((ROOT / "docs/examples/llm-gate.yml").read_text(encoding="utf-8"))
    runs = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
    assert len(runs) == 3
    bin_folder = str(Path(sys.executable).parent)
    environ = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    for run in runs:
        done = subprocess.run(
            ["bash", "-e", "-c", run], cwd=folder, env=environ, capture_output=True, text=True
        )
    return done


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    _git(folder, "init", "-b", "main")
    _commit(folder, failing=2)
    _git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    _git(folder, "checkout", "-b", "change")
    return folder


def test_a_regression_stops_the_merge(repository: Path) -> None:
    _commit(repository, failing=20)
    done = _steps(repository)
    assert done.returncode == 1, done.stderr
    assert "✗ fail" in (repository / "summary.md").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in (repository / "candidate.jsonl").read_text().splitlines()]
    assert {row["repeat"] for row in rows} == {0, 1, 2}
    assert len({row["item_id"] for row in rows}) == 40
    assert {row["metric"] for row in rows} == {"pass", "length"}


def test_a_change_that_changes_nothing_passes(repository: Path) -> None:
    done = _steps(repository)
    assert done.returncode == 0, done.stderr
