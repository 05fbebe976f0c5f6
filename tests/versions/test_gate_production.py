"""The gate against production: a run over items of its own, beside what real calls scored."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.cli import main
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from llmops_jobs.versions.gate.compare import compare_with_production
from llmops_jobs.versions.gate.production import Production
from llmops_jobs.versions.gate.rules import GateRules, MetricRule
from tests.facts import DAY, PROJECT, facts

DAYS = [DAY + timedelta(days=n) for n in range(3)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three days of 200 calls: prompt rag, versions 3 and 4, which pass 90 % and 50 %."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
    lake = Lake(str(tmp_path / "lake"))
    database = Database(f"sqlite:///{tmp_path}/llmops.db")
    database.create()
    database.upsert("project", pd.DataFrame([{"project_id": PROJECT, "name": "default"}]))
    label = {"prompt_name": "rag", "label": "production", "version": 3, "content_hash": ""}
    database.replace_day("prompt_label", PROJECT, DAY, pd.DataFrame([label]))
    rng = np.random.default_rng(1)
    for day in DAYS:
        calls, scores, votes = [], [], []
        for n in range(200):
            version = 3 + n % 2
            at = {"trace_id": f"t{day}{n}", "observation_id": f"o{day}{n}"}
            own = {"prompt_name": "rag", "prompt_version": version, "user_id": f"u{n % 50}"}
            calls.append({**at, **own, "day": day})
            passed = bool(rng.random() < (0.9 if version == 3 else 0.5))
            scores.append(
                {
                    **at,
                    "scorer": "grounded",
                    "scorer_version": "1",
                    "value": float(passed),
                    "label": "",
                    "passed": passed,
                    "reason": "",
                    "status": "ok",
                    "cost_usd": 0,
                    "inclusion_probability": 0.5,
                }
            )
            votes.append(
                {"score_id": f"s{day}{n}", "trace_id": at["trace_id"], "name": "helpful"}
                | {"observation_id": ""}
                | {"value": 1.0, "data_type": "BOOLEAN", "source": "API", "day": day}
            )
        lake.replace_day("observations", PROJECT, day, facts("observations", calls))
        lake.replace_day("scores", PROJECT, day, facts("scores", votes))
        database.replace_day("score", PROJECT, day, pd.DataFrame(scores))
    database.engine.dispose()
    return tmp_path


def _candidate(passing: int, n: int = 100, metric: str = "grounded") -> str:
    lines = [{"item_id": f"q{i}", "metric": metric, "value": int(i < passing)} for i in range(n)]
    Path("run.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return "run.jsonl"


def _gate(baseline: str, candidate: str, *more: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["gate", "--baseline", baseline, "--candidate", candidate, *more])
    return int(stop.value.code or 0)


def test_a_run_is_held_against_the_version_in_production(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("gate.yaml").write_text("metrics: {grounded: {margin: 0.1}}\ndefault: null\n")
    config = ("--config", "gate.yaml", "--json", "g.json")
    assert _gate("production:rag@3", _candidate(60), *config) == 1
    assert _gate("production:rag@4", _candidate(60), *config) == 0
    said = capsys.readouterr().out
    assert "note: not the same items: run.jsonl ran over 100 items of its own" in said
    assert "with prompt rag version 4, 2026-02-21 to 2026-03-06" in said
    verdict = json.loads(Path("g.json").read_text(encoding="utf-8"))
    assert verdict["decisions"][0]["baseline"] == pytest.approx(0.5, abs=0.1)


def test_the_label_says_which_version_and_gate_yaml_says_the_rest(home: Path) -> None:
    Path("gate.yaml").write_text(
        "metrics: {ok: {margin: 0.1, higher_is_better: true}}\n"
        "default: null\n"
        "production: {prompt: rag, label: production, days: 2, metrics: {ok: grounded}}\n"
    )
    config = ("--config", "gate.yaml")
    assert _gate("production", _candidate(60, metric="ok"), *config) == 1
    assert _gate("production", _candidate(99, metric="ok"), *config) == 0


def test_few_items_are_inconclusive_and_say_how_many_would_decide(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("gate.yaml").write_text("metrics: {grounded: {margin: 0.05}}\ndefault: null\n")
    assert _gate("production:rag@3", _candidate(14, 20), "--config", "gate.yaml") == 2
    assert "items would decide" in capsys.readouterr().out


def test_a_score_of_langfuse_on_the_trace_counts_for_its_calls(home: Path) -> None:
    Path("gate.yaml").write_text("metrics: {helpful: {margin: 0.1}}\ndefault: null\n")
    assert _gate("production:rag", _candidate(20, metric="helpful"), "--config", "gate.yaml") == 1


@pytest.mark.parametrize(
    ("baseline", "metric", "said"),
    [
        ("production:rag@9", "grounded", "with prompt rag, version 9"),
        ("production:gone", "grounded", "with prompt gone, version (any)"),
        ("production:rag@staging", "grounded", "was seen with the label staging"),
        ("production", "accuracy", "metric accuracy is missing in the baseline"),
    ],
)
def test_what_production_does_not_have_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], baseline: str, metric: str, said: str
) -> None:
    Path("gate.yaml").write_text(f"metrics: {{{metric}: {{margin: 0.1}}}}\ndefault: null\n")
    candidate = _candidate(60, metric=metric)
    assert _gate(baseline, candidate, "--config", "gate.yaml") == 3
    assert said in capsys.readouterr().err


def test_production_is_no_candidate(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _gate(_candidate(60), "production") == 3
    assert "production can be the baseline only" in capsys.readouterr().err


def test_five_hundred_runs_as_good_as_production_fail_at_most_one_in_twenty() -> None:
    """Users differ, and their calls resemble each other: calls alone would fail far more."""
    rng = np.random.default_rng(3)
    rules = GateRules(default=MetricRule(margin=0.0))
    failed = 0
    for _ in range(500):
        users = rng.beta(9, 3, 60)
        user = rng.integers(0, 60, 900)
        calls = {"metric": "pass", "weight": 1.0, "user": user}
        passed = (rng.random(900) < users[user]).astype(float)
        production = Production(pd.DataFrame({**calls, "value": passed}), "")
        own = (rng.random(80) < 0.75).astype(float)
        items = pd.DataFrame({"item_id": [f"q{i}" for i in range(80)], "value": own})
        run = items.assign(metric="pass", repeat=0)
        failed += compare_with_production(production, run, rules, ("p", "c")).verdict == "fail"
    assert failed / 500 <= 0.05


def test_days_are_those_before_the_newest_that_was_copied(home: Path) -> None:
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.versions.gate.production import read_production
    from llmops_jobs.versions.gate.rules import ProductionRules

    found = read_production(Deployment.from_environment(), PROJECT, ProductionRules(days=1))
    assert found.described.endswith(f"{DAYS[-1]} to {DAYS[-1]}")
    assert found.described.startswith("200 calls of 50 users")
    assert date.fromisoformat(found.described[-10:]) == DAYS[-1]
