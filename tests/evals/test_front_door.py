"""A night of evaluation as a user starts it: `llmops run`, a configuration file, a judge over HTTP,
and a scorer of the user's own in an installed package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from llmops_jobs.cli import llmops
from llmops_jobs.demo.server import MemorySource, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.evals.scorer import installed
from tests.evals.fake_judge import FakeJudge
from tests.evals.fake_judge import running as judging
from tests.evals.test_night import land
from tests.facts import DAY

GOOD, BAD = "GOOD, it is on its way to you.", "It may be anywhere, who knows that."
STRANGE = {
    "no output": "",
    "5 MB": "x" * 5_000_000,
    "binary": "\x00\x01\x02" * 50,
    "right to left": "مرحبا بك في متجرنا، كيف يمكنني مساعدتك اليوم؟",
    "another script": "很抱歉，我无法提供帮助。",
    "JSON in JSON": '{"a": "{\\"b\\": [1, 2]}"}',
    "deep JSON": "[" * 100_000,
}
PACKAGE = """
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.scorer import scorer

@scorer("says_good")
def says_good(call: Call) -> bool:
    if len(call.answer) > 1_000_000:
        raise MemoryError("an answer that begins with " + call.answer[:20])
    return "GOOD" in call.answer
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with running(MemorySource([], [])) as server:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("LLMOPS_CONFIG", str(tmp_path / "llmops.yaml"))
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAGSTER_HOME", "")
        (tmp_path / "llmops.yaml").write_text("evals: {}\n")
        yield tmp_path


def run(answers: list[str], labels: dict[int, bool] | None = None) -> tuple[Deployment, str, str]:
    deployment = Deployment.from_environment()
    project = deployment.projects()[0].id
    land(deployment.lake, DAY, answers, labels=labels, project=project)
    command = ["run", "--from", str(DAY), "--to", str(DAY), "--select", "score,quality_daily"]
    done = CliRunner().invoke(llmops, command)
    assert done.exit_code == 0, (done.output, done.exception)
    return deployment, project, done.output


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with an entry point, as pip leaves one."""
    (folder / "own_scorers.py").write_text(PACKAGE)
    about = folder / "own_scorers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-scorers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[llmops_jobs.scorers]\nsays_good = own_scorers:says_good\n"
    )
    monkeypatch.syspath_prepend(str(folder))


def test_whatever_the_texts_are_the_night_ends_with_every_row_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(home, monkeypatch)
    deployment, project, _ = run([*STRANGE.values(), GOOD, BAD])
    rows = deployment.database.table("score", project)
    calls, scorers = len(STRANGE) + 2, rows["scorer"].nunique()
    assert len(rows) == calls * scorers and scorers == len(installed())
    assert set(rows["status"]) == {"ok", "skipped", "error"}
    assert (rows.loc[rows["status"] != "ok", "reason"] != "").all()
    own = rows[rows["scorer"] == "says_good"].set_index("trace_id")
    assert own["passed"].eq(True).sum() == 1
    broken = rows[rows["status"] == "error"]
    assert set(broken["scorer"]) == {"says_good"} and len(broken) == 1
    assert broken["reason"].tolist() == ["the scorer raised MemoryError"]
    rates = deployment.database.table("quality_window", project, scope="total", metric="empty")
    assert rates["n"].tolist() == [calls] * 3


def test_the_judge_is_asked_over_http_within_its_budget_and_the_label_anchors_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with judging(FakeJudge()) as fake:
        monkeypatch.setenv("LLMOPS_JUDGE_BASE_URL", f"{fake.url}/v1")
        monkeypatch.setenv("LLMOPS_JUDGE_API_KEY", "sk-judge-secret")
        (home / "llmops.yaml").write_text(
            "evals:\n  scorers: [empty]\n  judge:\n    rubrics: [correctness]\n"
            "    anchors: {correctness: correct}\n    model: judge-1\n    calls_per_night: 25\n"
            "    trace: false\n"
        )
        answers = [GOOD] * 30 + [BAD] * 15
        deployment, project, output = run(answers, labels={0: True, 40: False})
        asked = len(fake.bodies)
        assert 0 < asked <= 25
        run(answers, labels={0: True, 40: False})
        assert len(fake.bodies) == asked  # of the cache; a canary of the day is not asked again
    rows = deployment.database.table("score", project, scorer="judge:correctness")
    labelled = rows[rows["trace_id"].isin([f"{DAY}-0", f"{DAY}-40"])]
    assert labelled["inclusion_probability"].tolist() == [1.0, 1.0]
    night = deployment.database.table("judge_night", project).iloc[0]
    assert night["requests"] == asked and night["cost_usd"] > 0
    window = deployment.database.table("quality_window", project, scope="total", metric="correct")
    assert window["n_human"].tolist() == [2, 2, 2] and window["raw_judge_rate"].notna().all()
    written = pd.concat([rows[["reason", "label"]].stack(), pd.Series([output])], ignore_index=True)
    assert not written.str.contains("sk-judge-secret|on its way").any()
