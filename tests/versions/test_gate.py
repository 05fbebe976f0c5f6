"""The release gate, through its command: the verdict, the exit code, the files."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.cli import main
from llmops_jobs.versions.gate.compare import compare
from llmops_jobs.versions.gate.rules import GateRules, MetricRule


def _write(path: Path, values: dict[str, list[float]], metric: str = "pass") -> Path:
    lines = [
        json.dumps({"item_id": item, "metric": metric, "value": value, "repeat": repeat})
        for item, tries in values.items()
        for repeat, value in enumerate(tries)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _items(n: int, failing: int, start: int = 0) -> dict[str, list[float]]:
    return {f"q{i}": [0.0 if start <= i < start + failing else 1.0] for i in range(n)}


def _gate(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["gate", *map(str, arguments)])
    return int(stop.value.code or 0)


def _run(tmp_path: Path, base: dict, cand: dict, *more: object) -> int:
    b = _write(tmp_path / "base.jsonl", base)
    c = _write(tmp_path / "cand.jsonl", cand)
    return _gate("--baseline", b, "--candidate", c, *more)


def test_the_same_results_pass(tmp_path: Path) -> None:
    assert _run(tmp_path, _items(100, 8), _items(100, 8)) == 0


def test_a_clear_loss_fails_and_says_which_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {kind: tmp_path / f"out.{kind}" for kind in ("junit", "markdown", "json")}
    flags = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    assert _run(tmp_path, _items(200, 10), _items(200, 60), *flags) == 1
    assert "50 items got worse: q10, q11, q12, q13, q14, and 45 more" in capsys.readouterr().out
    verdict = json.loads(files["json"].read_text(encoding="utf-8"))
    assert verdict["verdict"] == "fail"
    assert verdict["decisions"][0]["difference"] == pytest.approx(-0.25)
    suite = ElementTree.fromstring(files["junit"].read_text(encoding="utf-8"))
    assert suite.get("failures") == "1"
    assert "| pass | ✗ fail | 200 |" in files["markdown"].read_text(encoding="utf-8")


def test_too_few_items_are_inconclusive_and_say_how_many_would_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(tmp_path, _items(40, 2), _items(40, 4)) == 2
    assert "items would decide" in capsys.readouterr().out


def test_a_lower_cost_is_better(tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text(
        "metrics: {cost_usd: {higher_is_better: false, margin: 0.02, relative: true}}"
    )
    rng = np.random.default_rng(1)
    cost = {f"q{i}": [float(v)] for i, v in enumerate(rng.lognormal(-6, 0.5, 100))}
    cheaper = {item: [tries[0] * 0.8] for item, tries in cost.items()}
    base, cand = tmp_path / "b.jsonl", tmp_path / "c.jsonl"
    _write(base, cost, "cost_usd"), _write(cand, cheaper, "cost_usd")
    assert _gate("--baseline", base, "--candidate", cand, "--config", config) == 0
    assert _gate("--baseline", cand, "--candidate", base, "--config", config) == 1


@pytest.mark.parametrize(
    ("metric", "exit_code"),
    [("cost_usd", 1), ("p95_latency", 1), ("errorRate", 1), ("tokens_out", 1), ("f1", 0)],
)
def test_the_direction_is_told_from_a_known_name_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, exit_code: int
) -> None:
    rng = np.random.default_rng(1)
    low = {f"q{i}": [float(v)] for i, v in enumerate(rng.lognormal(0, 0.2, 100))}
    base = _write(tmp_path / "b.jsonl", low, metric)
    cand = _write(tmp_path / "c.jsonl", {item: [v[0] * 2] for item, v in low.items()}, metric)
    assert _gate("--baseline", base, "--candidate", cand) == exit_code
    said = "more" if exit_code == 0 else "less"
    assert f"{metric}: {said} is better, by its name" in capsys.readouterr().out


def test_a_metric_of_unknown_direction_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = _write(tmp_path / "b.jsonl", _items(20, 1), "verbosity")
    assert _gate("--baseline", base, "--candidate", base) == 3
    assert "metric verbosity: is more of it better or worse?" in capsys.readouterr().err
    config = tmp_path / "gate.yaml"
    config.write_text("metrics: {verbosity: {higher_is_better: false}}")
    assert _gate("--baseline", base, "--candidate", base, "--config", config) == 0


def test_an_absolute_minimum_can_fail_what_did_not_get_worse(tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text("metrics: {pass: {minimum: 0.9}}")
    assert _run(tmp_path, _items(200, 60), _items(200, 60), "--config", config) == 1
    assert _run(tmp_path, _items(200, 2), _items(200, 2), "--config", config) == 0


@pytest.mark.parametrize(
    ("base", "cand", "said"),
    [
        ({"a": [1.0]}, {"a": [1.0]}, "1 item in common cannot decide anything"),
        (_items(20, 1), {f"x{i}": [1.0] for i in range(20)}, "no item in common"),
        (_items(20, 1), _items(15, 1), "lacks 5 of 20 items (q15, q16, q17, …)"),
        (_items(20, 1), {**_items(20, 1), "q3": [float("nan")]}, "1 values are not numbers: q3"),
    ],
)
def test_what_cannot_be_compared_is_named_and_is_no_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], base: dict, cand: dict, said: str
) -> None:
    assert _run(tmp_path, base, cand) == 3
    assert said in capsys.readouterr().err


def test_a_duplicate_item_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = _write(tmp_path / "b.jsonl", _items(10, 1))
    twice = tmp_path / "c.jsonl"
    line = '{"item_id": "q1", "metric": "pass", "value": 1}\n'
    twice.write_text(line + line)
    assert _gate("--baseline", base, "--candidate", twice) == 3
    assert "item q1 has pass more than once" in capsys.readouterr().err


def test_a_name_that_is_no_file_needs_langfuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert _gate("--baseline", "run-a", "--candidate", "run-b") == 3
    assert "run-a is not a file" in capsys.readouterr().err


def test_missing_options_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert _gate("--baseline", "x") == 64
    assert "--candidate" in capsys.readouterr().err


FORMS = {
    "long.csv": "item_id,metric,value\n" + "".join(f"q{i},pass,{i % 9 > 0}\n" for i in range(30)),
    "wide.csv": "item_id,pass\n" + "".join(f"q{i},{int(i % 9 > 0)}\n" for i in range(30)),
    "promptfoo.json": json.dumps(
        {
            "results": {
                "results": [
                    {"testIdx": i, "testCase": {"description": f"q{i}"}, "success": i % 9 > 0}
                    for i in range(30)
                ]
            }
        }
    ),
    "deepeval.json": json.dumps(
        {"testCases": [{"name": f"q{i}", "success": i % 9 > 0} for i in range(30)]}
    ),
    "list.json": json.dumps(
        [{"item_id": f"q{i}", "metric": "pass", "value": i % 9 > 0} for i in range(30)]
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_says_the_same(tmp_path: Path, name: str) -> None:
    plain = _write(tmp_path / "plain.jsonl", {f"q{i}": [float(i % 9 > 0)] for i in range(30)})
    other = tmp_path / name
    other.write_text(FORMS[name], encoding="utf-8")
    assert _gate("--baseline", plain, "--candidate", other) == 0


def test_junit_of_a_real_pytest_run_is_read(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "test_app.py").write_text(
        "import pytest\n@pytest.mark.parametrize('i', range(12))\ndef test_q(i):\n    assert i\n"
    )
    xml = tmp_path / "out.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={xml}"]
    subprocess.run([*command, "test_app.py"], cwd=tmp_path, capture_output=True)
    assert _gate("--baseline", xml, "--candidate", xml) == 0


def test_an_error_of_the_infrastructure_is_no_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xml = tmp_path / "out.xml"
    xml.write_text('<testsuite><testcase classname="a" name="b"><error/></testcase></testsuite>')
    assert _gate("--baseline", xml, "--candidate", xml) == 3
    assert "ended in an error, not in a result" in capsys.readouterr().err


def test_hostile_names_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b[31m<script>|`@all\x00"
    values = {f"q{i}": [float(i < 5)] for i in range(40)}
    base = _write(tmp_path / "b.jsonl", {item: [1.0] for item in values}, name)
    cand = _write(tmp_path / "c.jsonl", values, name)
    out = tmp_path / "o.md"
    xml = tmp_path / "o.xml"
    config = tmp_path / "gate.yaml"
    config.write_text("default: {higher_is_better: true}")
    files = ("--markdown", out, "--junit", xml, "--config", config)
    assert _gate("--baseline", base, "--candidate", cand, *files) == 1
    assert "\x1b" not in capsys.readouterr().out.replace("\x1b[0m", "")
    assert "<script>" not in out.read_text(encoding="utf-8")
    ElementTree.fromstring(xml.read_text(encoding="utf-8"))


def _frame(values: np.ndarray) -> pd.DataFrame:
    n, repeats = values.shape
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"q{i}" for i in range(n)], repeats),
            "metric": "pass",
            "value": values.ravel(),
            "repeat": np.tile(np.arange(repeats), n),
        }
    )


def test_five_hundred_pairs_of_equal_runs_fail_at_most_one_in_twenty() -> None:
    rng = np.random.default_rng(11)
    rules = GateRules(default=MetricRule(margin=0.0))
    failed = 0
    for _ in range(500):
        chance = rng.beta(4, 1, 80)[:, None]
        base, cand = (rng.random((2, 80, 1)) < chance).astype(float)
        failed += compare(_frame(base), _frame(cand), rules).verdict == "fail"
    assert failed / 500 <= 0.05


def test_a_flaky_item_never_turns_a_pass_into_a_fail() -> None:
    rng = np.random.default_rng(12)
    rules = GateRules(default=MetricRule(margin=0.02))
    verdicts = set()
    for _ in range(40):
        base, cand = np.ones((2, 60, 3))
        base[:2], cand[:2] = rng.random((2, 2, 3)) < 0.5
        verdicts.add(compare(_frame(base), _frame(cand), rules).verdict)
    assert "fail" not in verdicts


def test_a_verdict_that_hangs_on_flaky_items_is_not_given() -> None:
    base, cand = np.ones((2, 40, 3))
    cand[:8, :2] = 0  # eight items fail two times out of three
    rules = GateRules(default=MetricRule(margin=0.0))
    decision = compare(_frame(base), _frame(cand), rules).decisions[0]
    assert decision.verdict == "inconclusive"
    assert decision.reason == "the verdict hangs on 8 flaky items"
    assert len(decision.flaky) == 8
    assert decision.all_repeats_passed == 0.8


def test_the_same_files_give_the_same_verdict_to_the_last_digit(tmp_path: Path) -> None:
    outs = []
    for number in range(2):
        out = tmp_path / f"{number}.json"
        _run(tmp_path, _items(90, 9), _items(90, 14), "--json", out)
        outs.append(out.read_bytes())
    assert outs[0] == outs[1]
