"""Rows have exactly the keys and kinds of values that a real server's rows have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmops_jobs.demo.rows import DayRows

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def recorded(path: Path) -> list[dict[str, Any]]:
    body = json.loads(path.read_text())["body"]
    return [row for row in body["data"] if isinstance(row, dict)]


def kinds(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Which JSON types each key takes; whole and broken numbers are one type there."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.items():
            name = type(value).__name__
            found.setdefault(key, set()).add("number" if name in ("int", "float") else name)
    return found


def test_observations_have_the_recorded_keys(
    shared: Callable[[str], Path], ago: Callable[[int], DayRows]
) -> None:
    real = recorded(shared("langfuse_recorded/observations-v2-all-fields.json"))
    for row in ago(5).observations:
        assert set(row) == set(real[0])


def test_observations_have_the_recorded_kinds_of_values(
    shared: Callable[[str], Path], ago: Callable[[int], DayRows]
) -> None:
    real = recorded(shared("langfuse_recorded/observations-v2-all-fields.json"))
    real += recorded(shared("langfuse_recorded/observations-v2-errors-level.json"))
    # Kinds that no recorded row happens to show, each of them documented.
    known = {
        "completionStartTime": {"str"},
        "timeToFirstToken": {"number"},
        "promptVersion": {"number"},
        "output": {"str"},
        "input": {"str"},
        "inputPrice": {"NoneType"},
        "outputPrice": {"NoneType"},
        "totalPrice": {"str"},
        "modelId": {"NoneType"},
        "usagePricingTierId": {"NoneType"},
        "usagePricingTierName": {"NoneType"},
        "inputCost": {"NoneType"},
        "outputCost": {"NoneType"},
        "traceName": {"NoneType"},
        "parentObservationId": {"NoneType", "str"},
        "latency": {"number", "NoneType"},
    }
    allowed = kinds(real)
    for key, found in kinds(ago(5).observations).items():
        assert found <= allowed[key] | known.get(key, set()), key


def test_scores_have_the_recorded_keys(
    shared: Callable[[str], Path], ago: Callable[[int], DayRows]
) -> None:
    real = recorded(shared("langfuse_recorded/scores-v3-all-fields.json"))
    for row in ago(5).scores:
        assert set(row) == set(real[0])
        assert set(row["subject"]) in ({"kind", "id"}, {"kind", "id", "traceId"})


def test_values_of_scores_have_the_type_of_their_kind(ago: Callable[[int], DayRows]) -> None:
    types = {"BOOLEAN": bool, "CATEGORICAL": str, "TEXT": str}
    for row in ago(5).scores:
        if row["dataType"] == "NUMERIC":
            assert type(row["value"]) in (int, float)
        else:
            assert type(row["value"]) is types[row["dataType"]]


def test_times_are_utc_with_milliseconds(ago: Callable[[int], DayRows]) -> None:
    for row in ago(5).observations:
        for key in ("startTime", "endTime", "createdAt", "updatedAt"):
            assert TIME.fullmatch(row[key])
        assert row["startTime"] <= row["endTime"] <= row["createdAt"]
        if row["completionStartTime"]:
            assert row["startTime"] <= row["completionStartTime"] <= row["endTime"]


def test_missing_strings_are_empty_and_unpriced_calls_cost_zero(
    ago: Callable[[int], DayRows],
) -> None:
    rows = ago(5).observations
    spans = [row for row in rows if row["type"] == "SPAN"]
    assert {row["model"] for row in spans} == {""}
    unpriced = [row for row in rows if row["model"] == "aurora-1-preview"]
    assert unpriced
    for row in unpriced:
        assert row["costDetails"] == {} and row["totalCost"] == 0 and row["inputCost"] is None
        assert row["modelId"] is None and row["internalModelId"] == ""
    assert "" in {row["statusMessage"] for row in rows}


def test_children_point_to_rows_of_their_trace(ago: Callable[[int], DayRows]) -> None:
    rows = [*ago(6).observations, *ago(5).observations]
    ids = {(row["traceId"], row["id"]) for row in rows}
    for row in ago(5).observations:
        if row["parentObservationId"] is None:
            assert row["isRootObservation"]
        else:
            assert (row["traceId"], row["parentObservationId"]) in ids


def test_every_kind_of_observation_occurs(ago: Callable[[int], DayRows]) -> None:
    assert {row["type"] for row in ago(5).observations} == {
        "SPAN",
        "CHAIN",
        "AGENT",
        "TOOL",
        "RETRIEVER",
        "GENERATION",
        "EMBEDDING",
        "GUARDRAIL",
    }


def test_stored_costs_are_tokens_times_prices(ago: Callable[[int], DayRows]) -> None:
    """Recomputed from the row's own prices, for a model without caches."""
    rows = [row for row in ago(5).observations if row["model"] == "qwen3-32b-inhouse"]
    assert rows
    for row in rows:
        usage = row["usageDetails"]
        expected = sum(usage.get(k, 0) * float(row[f"{k}Price"]) for k in ("input", "output"))
        assert abs(row["totalCost"] - expected) < 1e-9


def test_the_shapes_of_all_providers_occur(ago: Callable[[int], DayRows]) -> None:
    keys = {key for row in ago(5).observations for key in row["usageDetails"]}
    assert keys >= {
        "input",
        "output",
        "total",
        "input_cached_tokens",
        "output_reasoning_tokens",
        "cache_read_input_tokens",
        "input_cache_creation_5m",
        "input_cache_creation_1h",
        "thoughts_token_count",
        "prompt_details.cache_read",
    }


def test_exclusive_buckets_add_up_to_the_total(ago: Callable[[int], DayRows]) -> None:
    overlapping = 0
    for row in ago(5).observations:
        usage = row["usageDetails"]
        if "total" in usage:
            parts = sum(usage.values()) - usage["total"]
            overlapping += parts != usage["total"]
            assert parts == usage["total"] or "prompt_details.cache_read" in usage
            assert min(usage.values()) >= 0
    assert overlapping > 0


def test_one_framework_s_agents_repeat_the_usage_of_their_calls(
    ago: Callable[[int], DayRows],
) -> None:
    rows = ago(5).observations
    agents = [row for row in rows if row["type"] == "AGENT" and row["usageDetails"]]
    assert {row["model"] for row in agents} <= {"gpt-4.1", "gpt-4.1-2025-04-14"}
    spent: dict[str, float] = {}
    for row in rows:
        if row["type"] == "GENERATION" and row["level"] == "DEFAULT":
            spent[row["traceId"]] = spent.get(row["traceId"], 0) + row["totalCost"]
    whole = [
        row for row in agents if row["level"] == "DEFAULT" and row["endTime"] < "2026-11-18T23"
    ]
    assert len(whole) > 20
    for row in whole:
        assert abs(row["totalCost"] - spent[row["traceId"]]) < 1e-9
