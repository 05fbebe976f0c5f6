"""What hangs on no model call: failures of tools, votes on whole sessions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.days import start_of
from llmops_jobs.deployment import Deployment
from llmops_jobs.signals import nightly
from tests.facts import DAY, PROJECT
from tests.signals.world import call, deployment, land, land_scores, root, vote

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> Deployment:
    return deployment(tmp_path)


def tool(trace: str, name: str, message: str = "", **rest: Any) -> dict[str, Any]:
    failed = {"level": "ERROR", "status_message": message} if message else {}
    kind = {"type": "TOOL", "is_model_call": False, "model": "", "provider": ""}
    return call(trace, name, **{**kind, **failed, **rest})


def test_failed_tools_are_counted_by_tool_and_in_no_rate_of_model_calls(home: Deployment) -> None:
    land(
        home,
        [
            root("t"),
            call("t"),
            tool("t", "search", at=1),
            tool("t", "search", "HTTPError: 503 from https://search.example/q?x=1", at=2),
            tool("t", "search", "HTTPError: 502 from https://search.example/q?x=2", at=3),
            tool("t", "index", "Request timed out after 30 s", at=4, type="RETRIEVER"),
        ],
    )
    list(nightly.write_outcomes(home, PROJECT, [DAY]))
    (told,) = nightly.write_errors(home, PROJECT, [DAY])
    assert told[1]["tool_errors"] == 3
    rows = home.database.table("tool_daily")
    counted = {
        (row.type, row.tool, row.error_type): (row.calls, row.errors) for row in rows.itertuples()
    }
    assert counted == {
        ("TOOL", "search", ""): (1, 0),
        ("TOOL", "search", "tool_error"): (2, 2),
        ("RETRIEVER", "index", "tool_error"): (1, 1),
    }
    assert home.database.table("error_daily")["errors"].sum() == 0
    families = home.database.table("error_family")
    assert set(families["family_id"]) == set(rows.loc[rows["errors"] > 0, "family_id"])
    assert set(families["error_type"]) == {"tool_error"}
    assert not families["template"].str.contains("example|503").any()


def test_a_day_run_again_without_the_tool_forgets_its_family(home: Deployment) -> None:
    land(home, [root("t"), call("t"), tool("t", "search", "boom: connection refused", at=2)])
    list(nightly.write_outcomes(home, PROJECT, [DAY]))
    for _ in range(2):
        list(nightly.write_errors(home, PROJECT, [DAY]))
    assert len(home.database.table("error_family")) == 1
    land(home, [root("t"), call("t")])
    list(nightly.write_errors(home, PROJECT, [DAY]))
    assert home.database.table("error_family").empty
    assert home.database.table("tool_daily").empty


def test_a_vote_on_a_session_counts_for_its_last_trace_by_then(home: Deployment) -> None:
    rows = [
        row
        for trace, at, day, feature in (
            ("a", 0, DAY, "chat"),
            ("b", 600, DAY, "search"),
            ("c", 0, NEXT, "plan"),
        )
        for row in (
            root(trace, day=day, session_id="s", feature=feature),
            call(trace, at=at, day=day, session_id="s", feature=feature),
        )
    ]
    land(home, rows)
    noon = start_of(DAY) + timedelta(hours=12, minutes=30)
    session = {"subject_kind": "session", "session_id": "s", "trace_id": ""}
    given = vote("", 1.0, timestamp=noon, **session)
    elsewhere = vote("", 0.0, number=1, timestamp=noon, **{**session, "session_id": "nobody's"})
    land_scores(home, [given, elsewhere])
    for step in (nightly.write_latency, nightly.write_feedback):
        told = dict(step(home, PROJECT, [DAY, NEXT]))
    assert told[DAY]["unknown_traces"] == 1
    (row,) = home.database.table("feedback_daily").itertuples()
    assert (row.day, row.feature, row.n, row.positive) == (DAY, "search", 1, 1)
    assert (row.rated_traces, row.traces) == (1, 1)
