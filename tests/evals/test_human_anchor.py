"""From picks to people and back: labels that are given in a queue change the next night's estimate;
agreement with them against formulae of others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from llmops_jobs.cli import llmops
from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.evals.agreement import agreement, compare
from llmops_jobs.store import Database
from tests.evals.fake_judge import FakeJudge
from tests.evals.fake_judge import running as judging
from tests.evals.test_label import items, queue
from tests.facts import DAY, PROJECT

NEXT = DAY + timedelta(days=1)


def calls(n: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"o{i}",
            "traceId": f"t{i}",
            "type": "GENERATION",
            "name": "answer",
            "model": "gpt-4o" if i % 2 else "gpt-4o-mini",
            "startTime": f"{DAY}T10:{i % 60:02}:{i // 60:02}.000Z",
            "endTime": f"{DAY}T10:{i % 60:02}:{i // 60 + 5:02}.000Z",
            "input": f"Where is order {i}?",
            "output": f"{'GOOD, it is' if i % 4 else 'It may be'} on its way: {i}.",
        }
        for i in range(n)
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Running]]:
    source = MemorySource(calls(120))
    with running(source) as server, judging(FakeJudge()) as judge:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("LLMOPS_CONFIG", str(tmp_path / "llmops.yaml"))
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LLMOPS_JUDGE_BASE_URL", f"{judge.url}/v1")
        monkeypatch.setenv("DAGSTER_HOME", "")
        (tmp_path / "llmops.yaml").write_text(
            "evals:\n  scorers: [empty]\n  judge:\n    rubrics: [correctness]\n"
            "    anchors: {correctness: correct}\n    model: judge-1\n    trace: false\n"
        )
        yield source, server


def night(day: date) -> Deployment:
    assets = "observations,scores,observation_text,score,quality_daily"
    command = ["run", "--from", str(day), "--to", str(day), "--select", assets]
    done = CliRunner().invoke(llmops, command)
    assert done.exit_code == 0, (done.output, done.exception)
    return Deployment.from_environment()


def quality(deployment: Deployment, day: date, length: int) -> pd.Series:
    rows = deployment.database.table(
        "quality_window", deployment.projects()[0].id, day, day, scope="total", metric="correct"
    )
    found: pd.Series = rows[rows["window_days"] == length].iloc[0]
    return found


def test_labels_given_in_the_queue_come_back_and_change_the_estimate(
    project: tuple[Any, Running],
) -> None:
    source, server = project
    before = quality(night(DAY), DAY, 1)
    assert (before["method"], before["n_human"]) == ("uncalibrated", 0)
    assert before["raw_judge_rate"] == pytest.approx(0.75) and pd.isna(before["estimate"])
    queue_id = queue(server)
    command = ["label", "--queue", "correctness", "--day", str(DAY), "--count", "60"]
    done = CliRunner().invoke(llmops, command)
    assert done.exit_code == 0, (done.output, done.exception)
    picked = items(server, queue_id)
    assert 58 <= len(picked) <= 61
    # People find a third of what the judge passes wrong, and all that it fails.
    given = [(key, int(key[1:]) % 4 > 0 and int(key[1:]) % 3 > 0) for key in picked]
    source.add(
        scores=[
            {
                "id": f"label-{key}",
                "name": "correct",
                "source": "ANNOTATION",
                "dataType": "BOOLEAN",
                "value": float(passed),
                "timestamp": f"{NEXT}T09:00:00.000Z",
                "queueId": queue_id,
                "subject": {"kind": "observation", "id": key, "traceId": f"t{key[1:]}"},
            }
            for key, passed in given
        ]
    )
    deployment = night(NEXT)
    after = quality(deployment, NEXT, 7)
    assert after["n_human"] == len(picked) and after["method"] == "ppi++"
    assert after["low"] < 0.5 < after["high"] < after["raw_judge_rate"] + 0.05
    rows = deployment.database.table("judge_agreement", deployment.projects()[0].id, NEXT, NEXT)
    rows = rows.set_index("slice")
    assert set(rows.index) == {"total", "feature=answer", "model=gpt-4o", "model=gpt-4o-mini"}
    said = np.array([passed for _, passed in given])
    judge = np.array([int(key[1:]) % 4 > 0 for key, _ in given])
    total = rows.loc["total"]
    (tn, fp), (fn, tp) = confusion_matrix(said, judge)
    assert total["sensitivity"] == pytest.approx(tn / (tn + fp))
    assert total["specificity"] == pytest.approx(tp / (tp + fn)) == pytest.approx(1)
    assert total["kappa"] == pytest.approx(cohen_kappa_score(said, judge))
    # The same night again: the same rows.
    again = quality(night(NEXT), NEXT, 7)
    assert again.drop("note").tolist() == after.drop("note").tolist()


def test_the_interval_of_kappa_covers_it_with_few_labels_too() -> None:
    rng = np.random.default_rng(0)
    for rate, sensitivity, specificity, n in ((0.8, 0.9, 0.95, 40), (0.8, 0.98, 0.99, 60)):
        big = rng.random(400_000) < rate
        sure = rng.random(400_000)
        says = np.where(big, sure < specificity, sure >= sensitivity)
        truth = cohen_kappa_score(big, says)
        inside = []
        for start in range(0, 400 * n, n):
            part = slice(start, start + n)
            found = compare(big[part], says[part])
            kappa, low, high = found.kappa, found.kappa_low, found.kappa_high
            if not np.isnan(kappa):
                inside.append(low <= truth <= high)
                assert low <= kappa <= high and high - low > 0
        assert np.mean(inside) >= 0.93


def test_agreement_is_by_slice_and_of_four_weeks(database: Database) -> None:
    for back, model in ((0, "a"), (27, "b"), (28, "c")):
        rows = pd.DataFrame(
            {
                "trace_id": [f"{model}{i}" for i in range(40)],
                "observation_id": "o",
                "metric": "correct",
                "passed": [i % 2 > 0 for i in range(40)],
                "predicted": [float(i % 2 > 0) for i in range(40)],
                "predictor": "judge:correctness",
                "model": model,
                "w": 1.0,
            }
        )
        database.replace_day("human_label", PROJECT, DAY - timedelta(days=back), rows)
    found = agreement(database, PROJECT, DAY).set_index("slice")
    assert found["n"].to_dict() == {"total": 80, "model=a": 40, "model=b": 40}
    assert set(found["status"]) == {"calibrated"}
