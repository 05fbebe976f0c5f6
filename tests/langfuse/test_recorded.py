"""What a real server answered, and real traces of fourteen frameworks, land with known values."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.langfuse.reconcile import judge
from llmops_jobs.langfuse.score_rows import score_rows
from llmops_jobs.langfuse.wire import Decoder, Score, score_table
from tests.langfuse.wire_rows import landed

Shared = Callable[[str], Path]


def recorded(shared: Shared, name: str) -> list[dict[str, Any]]:
    """The rows of a recorded page; long pages are recorded shortened, with a text for the rest."""
    content = json.loads((shared("langfuse_recorded") / f"{name}.json").read_text())
    rows = content.get("body", content)["data"]
    return [row for row in rows if isinstance(row, dict)]


def test_every_recorded_row_lands_with_the_values_it_was_recorded_with(shared: Shared) -> None:
    names = [
        path.stem
        for path in shared("langfuse_recorded").glob("observations-v2-*.json")
        if recorded(shared, path.stem)
    ]
    assert len(names) >= 14
    seen = 0
    for name in [*names, "otlp-edge-cases"]:
        rows = recorded(shared, name)
        found = {(r["trace_id"], r["observation_id"]): r for r in landed(rows).to_pylist()}
        assert len(found) == len({(row["traceId"], row["id"]) for row in rows})
        for row in rows:
            ours = found[row["traceId"], row["id"]]
            seen += 1
            assert (
                ours["start_time"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
                == (row["startTime"])
            )
            assert ours["name"] == row.get("name", "")
            if "usageDetails" not in row:
                continue
            assert (ours["input_tokens"] or 0) == row["inputUsage"]
            assert (ours["output_tokens"] or 0) + (ours["input_tokens"] or 0) == row["totalUsage"]
            assert (ours["reported_cost_usd"] is None) == (row["costDetails"] == {})
            if row["costDetails"]:
                assert math.isclose(float(ours["reported_cost_usd"]), row["totalCost"])
    assert seen > 30


def test_the_recorded_edge_cases_are_read_as_they_are_meant(shared: Shared) -> None:
    rows = {row["name"]: row for row in landed(recorded(shared, "otlp-edge-cases")).to_pylist()}
    error = rows["otel-error"]
    assert (error["level"], error["status_message"]) == ("ERROR", "boom")
    assert (error["model"], error["provider"]) == ("gpt-4o-mini", "openai")
    assert not rows["plain"]["is_model_call"]
    assert rows["future"]["reported_cost_usd"] is None
    assert rows["future"]["input_tokens"] is None


def test_recorded_scores_land_with_value_and_subject(shared: Shared) -> None:
    kinds = set()
    for path in shared("langfuse_recorded").glob("scores-v3-*.json"):
        rows = recorded(shared, path.stem)
        page = Decoder(Score).decode(json.dumps({"data": rows, "meta": {}}).encode())
        kept, rejects = score_rows(score_table(page.rows), None, "local-project")
        assert page.rejects == rejects == []
        found = {row["score_id"]: row for row in kept.to_pylist()}
        for row in rows:
            ours = found[row["id"]]
            kinds.add(row["dataType"])
            if row["dataType"] in ("NUMERIC", "BOOLEAN"):
                assert ours["value"] == float(row["value"])
            else:
                assert ours["string_value"] == row["value"]
            if "subject" in row:
                assert ours["subject_kind"] == row["subject"]["kind"]
                key = {"trace": "trace_id", "observation": "observation_id"}.get(
                    row["subject"]["kind"], "session_id"
                )
                assert ours[key] == row["subject"]["id"]
    assert {"NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT"} <= kinds


# Counted by hand in the exports: model calls (not the spans around them), their tokens as the
# provider bills them, and the sum of the cost of just these calls, in USD.
FRAMEWORKS = {
    "agno-2025-06-11": (2, 826, 245, "0.000270899999"),
    "autogen-2025-06-06": (1, 41, 3, "0.000025"),
    "claude-agent-2025-12-22": (4, 34, 232, "0.003582"),
    "crewai-2025-07-11": (1, 190, 164, "0.0001269"),
    "google-adk-2025-08-28": (2, 67, 9, "0.0000103"),
    "google-gemini-2025-08-01": (1, 6, 2055, "0.005139299999"),
    "langgraph-js-2025-10-30": (2, 321, 123, "0.00032625"),
    "langgraph-python-2025-08-22": (2, 168, 66, "0.000234"),
    "microsoft-agent-2025-12-17": (2, 293, 106, "0.00028525"),
    "openai-agents-2025-09-30": (2, 140, 44, "0.000632"),
    "pydantic-ai-tools-2025-06-06": (1, 31, 96, "0.0010375"),
    "pydantic-ai-tools-2025-12-04": (4, 1315, 209, "0.000322649999"),
    "vercel-aisdk-2025-11-17": (1, 62, 85, "0.000927499999"),
    "vertex-ai-2025-08-01": (1, 5, 845, "0.00085"),
}
# Where the export says it: as asked for, or, in the answer's metadata, as it was served.
TIERS = {
    "agno-2025-06-11": "auto",
    "autogen-2025-06-06": "auto",
    "openai-agents-2025-09-30": "default",
    "vercel-aisdk-2025-11-17": "default",
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_trace_lands_with_its_calls_tokens_and_cost(shared: Shared, name: str) -> None:
    path = shared(f"data/langfuse_framework_traces/{name}.trace.json.gz")
    with gzip.open(path) as file:
        export = json.load(file)
    rows = export["observations"]
    found = landed(rows)
    assert found.num_rows == len(rows)
    calls = [row for row in found.to_pylist() if row["is_model_call"]]
    counted = (
        len(calls),
        sum(row["input_tokens"] for row in calls),
        sum(row["output_tokens"] for row in calls),
        sum((row["reported_cost_usd"] for row in calls), Decimal()),
    )
    expected = FRAMEWORKS[name]
    assert counted == (*expected[:3], Decimal(expected[3]))
    assert all(row["provider"] and row["model"] and row["latency_s"] for row in calls)
    assert {row["trace_id"] for row in calls} == {export["trace"]["id"]}
    tiers = {json.loads(row["model_parameters"]).get("service_tier") for row in calls}
    assert tiers == {TIERS.get(name)}


def test_a_missing_count_is_named_where_the_provider_left_one_out(shared: Shared) -> None:
    """Vertex's 1,173 thinking tokens are in the total and in no bucket."""
    path = shared("data/langfuse_framework_traces/vertex-ai-2025-08-01.trace.json.gz")
    with gzip.open(path) as file:
        rows = json.load(file)["observations"]
    assert landed(rows)["usage_issue"].to_pylist() == ["below_total"]


def row(**values: Any) -> dict[str, Any]:
    return {
        "rows_here": 10, "rows_source": 10, "cost_here": Decimal(1), "cost_source": Decimal(1),
        "duplicates": 0, "quarantined": 0, "unexplained": 0, **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "beyond", "status", "words"),
    [
        ({}, False, "ok", "10 rows here, 10 in the source"),
        ({"rows_source": 12, "duplicates": 2}, False, "ok", "2 of them older versions"),
        ({"rows_source": 13, "unexplained": 3}, False, "differs", "3 came after the pull"),
        ({"rows_source": 4, "unexplained": -6}, False, "differs", "lost, merged or deleted 6"),
        ({"rows_source": 0, "unexplained": -10}, True, "out_of_reach", "our copy stays"),
        ({"cost_source": Decimal("1.5")}, False, "differs", "cost differs by 0.5"),
        ({"cost_source": Decimal("1.0000000001")}, False, "ok", "10 rows"),
    ],
)
def test_a_difference_is_explained_or_said_to_be_unexplained(
    values: dict[str, Any], beyond: bool, status: str, words: str
) -> None:
    found, sentence = judge(row(**values), beyond=beyond, pulled=True)
    assert found == status
    assert words in sentence


def test_recorded_daily_metrics_are_read_as_days(shared: Shared) -> None:
    from datetime import date

    from llmops_jobs.errors import SourceError
    from llmops_jobs.langfuse.reconcile import count_days

    body = json.loads(shared("langfuse_recorded/metrics-v2-daily-cost.json").read_text())["body"]
    rows = [item for item in body["data"] if isinstance(item, dict)]

    class Recorded:
        def json(self, path: str, query: Any) -> Any:
            return {"data": self.rows}

    client = Recorded()
    client.rows = [rows[0], rows[-1]]  # type: ignore[attr-defined]
    counted = count_days(client, date(2026, 10, 25), date(2026, 10, 28))  # type: ignore[arg-type]
    assert counted[date(2026, 10, 25)].rows == 0
    assert counted[date(2026, 10, 27)].tokens == rows[-1]["sum_totalTokens"]
    assert len(counted) == 4
    client.rows = [rows[0]] * 1000  # type: ignore[attr-defined]
    with pytest.raises(SourceError, match="may be cut"):
        count_days(client, date(2026, 10, 25), date(2026, 10, 28))  # type: ignore[arg-type]
