"""A pytest plugin: tests record metrics, and the run becomes a result file for the gate.

    def test_answer(llmops_record):
        llmops_record("groundedness", 0.83)

    pytest --llmops-results candidate.jsonl

Every test is an item (its node id) with the metric `pass`; a test that errors outside its call is
trouble of the run and is left out, so the gate names it as missing rather than as a regression.
`--llmops-repeat N` runs every test N times, as repeats of one item.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_KEY = "llmops_metrics"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("llmops", "results for the release gate")
    group.addoption(
        "--llmops-results", type=Path, help="write results of the run here (JSON lines)"
    )
    group.addoption("--llmops-repeat", type=int, default=1, help="run every test N times")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--llmops-results")
    # With pytest-xdist the workers report to the main process, which alone writes.
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Results(path), "llmops-results")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    repeats = metafunc.config.getoption("--llmops-repeat")
    if repeats > 1:
        metafunc.fixturenames.append("llmops_try")
        metafunc.parametrize("llmops_try", range(repeats), ids=[f"try{i}" for i in range(repeats)])


@pytest.fixture
def llmops_record(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Records a number of this test: a score, a cost in USD, seconds."""

    def record(metric: str, value: float) -> None:
        request.node.user_properties.append((_KEY, [metric, float(value)]))

    return record


class _Results:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or report.skipped:
            return
        item, repeat = _item(report.nodeid)
        recorded: list[Any] = [value for key, value in report.user_properties if key == _KEY]
        for metric, value in [["pass", float(report.passed)], *recorded]:
            row = {"item_id": item, "metric": metric, "value": value, "repeat": repeat}
            self._lines.append(json.dumps(row))

    def pytest_sessionfinish(self) -> None:
        self._path.write_text("\n".join([*self._lines, ""]), encoding="utf-8")


def _item(node: str) -> tuple[str, int]:
    """The item's name and repeat: `test_a.py::test[q1-try2]` is the third try of `…::test[q1]`."""
    head, bracket, parameters = node.partition("[")
    names = parameters.removesuffix("]").split("-")
    tries = [name for name in names if name.startswith("try") and name[3:].isdigit()]
    if not bracket or not tries:
        return node, 0
    names.remove(tries[-1])
    return (f"{head}[{'-'.join(names)}]" if names else head), int(tries[-1][3:])


def pytest_report_header(config: pytest.Config) -> str | None:
    path = config.getoption("--llmops-results")
    return f"llmops: results go to {path}" if path else None
