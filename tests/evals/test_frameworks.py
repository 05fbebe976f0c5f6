"""Real traces of fourteen frameworks: through the API, the pull and the scorers, each call read as
what it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from llmops_jobs.cli import llmops
from llmops_jobs.demo.server import MemorySource, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.reading import calls_of_day
from tests.facts import DAY

NAMES = (
    "agno-2025-06-11", "autogen-2025-06-06", "claude-agent-2025-12-22", "crewai-2025-07-11",
    "google-adk-2025-08-28", "google-gemini-2025-08-01", "langgraph-js-2025-10-30",
    "langgraph-python-2025-08-22", "microsoft-agent-2025-12-17", "openai-agents-2025-09-30",
    "pydantic-ai-tools-2025-06-06", "pydantic-ai-tools-2025-12-04", "vercel-aisdk-2025-11-17",
    "vertex-ai-2025-08-01",
)  # fmt: skip
#: framework -> the calls of tools in its generations; those with the tool's schema on record.
TOOLS = {
    "agno": 1, "claude": 2, "google-adk": 1, "langgraph-js": 1, "langgraph-python": 1,
    "microsoft": 1, "openai": 1, "pydantic-ai-tools-2025-12-04": 2, "vercel": 2,
}  # fmt: skip
OFFERED = {"agno", "google-adk", "langgraph-python", "microsoft", "openai", "pydantic", "vercel"}


KEYS = ("id", "type", "name", "level", "input", "output", "model", "usageDetails")


def as_served(row: dict[str, Any]) -> dict[str, Any]:
    """An exported observation as the API serves it, on the day of the tests."""
    told = {key: row[key] for key in KEYS if row.get(key) is not None}
    for key in ("metadata", "modelParameters"):
        value = row.get(key)
        told[key] = (json.loads(value) if isinstance(value, str) else value) or {}
    for key in ("input", "output"):
        if key in told and not isinstance(told[key], str):
            told[key] = json.dumps(told[key], ensure_ascii=False)
    return told | {key: f"{DAY}{row[key][10:]}" for key in ("startTime", "endTime") if row[key]}


@pytest.fixture(scope="module")
def night(
    shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[list[Call], pd.DataFrame]]:
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        with gzip.open(shared(f"data/langfuse_framework_traces/{name}.trace.json.gz")) as file:
            for row in json.load(file)["observations"]:
                rows.append(as_served(row) | {"traceId": name})
    home = tmp_path_factory.mktemp("frameworks")
    with running(MemorySource(rows)) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("LLMOPS_HOME", str(home / "home"))
        patch.delenv("LLMOPS_CONFIG", raising=False)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", "")
        days = ["--from", str(DAY), "--to", str(DAY)]
        assets = "observations,scores,observation_text,score"
        done = CliRunner().invoke(llmops, ["run", *days, "--select", assets])
        assert done.exit_code == 0, (done.output, done.exception)
        deployment = Deployment.from_environment()
        calls = calls_of_day(deployment.lake, "local-project", DAY)
        yield calls, deployment.database.table("score", "local-project")


def of(rows: pd.DataFrame, scorer: str) -> pd.DataFrame:
    return rows[rows["scorer"] == scorer]


def test_every_generation_is_read_and_no_scorer_breaks(
    night: tuple[list[Call], pd.DataFrame],
) -> None:
    calls, rows = night
    assert len(calls) == 29 == len(of(rows, "empty"))
    assert {call.trace_id for call in calls} == set(NAMES)
    assert set(rows["status"]) == {"ok", "skipped"}


def test_tool_calls_are_found_in_every_framework_and_are_right(
    night: tuple[list[Call], pd.DataFrame],
) -> None:
    calls, rows = night
    made = of(rows, "tool_calls")
    made = made[made["status"] == "ok"]
    found = made.groupby("trace_id").size().to_dict()
    assert {name: n for name in TOOLS for k, n in found.items() if k.startswith(name)} == TOOLS
    assert sum(found.values()) == sum(TOOLS.values())
    assert made["passed"].all()  # all were offered, with arguments that keep their schemas
    schemas = {call.trace_id for call in calls if call.tool_calls and call.tools}
    assert {name for name in OFFERED for k in schemas if k.startswith(name)} == OFFERED


def test_answers_and_questions_are_texts_for_people_and_not_envelopes(
    night: tuple[list[Call], pd.DataFrame],
) -> None:
    calls, rows = night
    assert not [c.answer for c in calls if c.answer.lstrip()[:1] in ("{", "[")]
    assert not [c.question for c in calls if c.question.lstrip()[:1] in ("{", "[")]
    asked = {call.trace_id[:9]: call.question for call in calls}
    assert asked["vertex-ai"] == asked["google-ge"] == "What is Langfuse?"
    assert asked["openai-ag"] == "What's the weather in Tokyo?"
    # A reply that only calls tools is not empty; one that was not recorded says "None".
    assert of(rows, "empty")["passed"].all()
    for scorer in ("refusal", "repetition", "language", "pii", "secrets"):
        judged = of(rows, scorer)
        assert not judged["passed"].eq(False).any(), scorer


def test_why_a_reply_ended_is_read_from_where_the_framework_left_it(
    night: tuple[list[Call], pd.DataFrame],
) -> None:
    told = {call.trace_id for call in night[0] if call.stop_reason}
    assert {name[:8] for name in told} >= {"agno-202", "google-a", "google-g", "vertex-a"}
    assert not of(night[1], "truncated")["passed"].eq(False).any()


def test_prose_that_a_tool_gave_back_is_the_context(
    night: tuple[list[Call], pd.DataFrame],
) -> None:
    contexts = {call.trace_id: call.context for call in night[0] if call.context}
    assert contexts["openai-agents-2025-09-30"] == "The weather in Tokyo is sunny."
