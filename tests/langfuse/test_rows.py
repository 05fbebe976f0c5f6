"""Rows of the source become rows of the lake: labels, times, money, and which calls are real."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from llmops_jobs.langfuse.metadata import Reader
from llmops_jobs.langfuse.providers import provider_name, provider_of_model
from llmops_jobs.langfuse.settings import DimensionRules
from tests.langfuse.wire_rows import landed, observation


def one(**values: Any) -> dict[str, Any]:
    return landed([observation(**values)]).to_pylist()[0]


@pytest.mark.parametrize(
    ("details", "cost"),
    [
        ({"input": 0.1, "output": 0.2, "total": 0.4}, Decimal("0.4")),
        ({"input": 0.1, "output": 0.2}, Decimal("0.3")),
        ({"input": 0.1, "reasoning_tokens": 0.5}, Decimal("0.6")),
        ({"total": 0}, Decimal(0)),
        ({}, None),
        ({"total": -1}, None),
    ],
)
def test_cost_is_the_total_or_the_sum_and_unknown_is_not_free(
    details: dict[str, float], cost: Decimal | None
) -> None:
    assert one(costDetails=details, totalCost=0)["reported_cost_usd"] == cost


def test_labels_are_taken_from_the_root_or_else_from_the_earliest_row_that_has_them() -> None:
    rows = landed(
        [
            observation(2, traceId="t", isRootObservation=False, traceName=None, userId=""),
            observation(
                1, traceId="t", isRootObservation=True, traceName="chat", userId="u1", id="root"
            ),
            observation(3, traceId="t", isRootObservation=False, release="r9", sessionId="s"),
            observation(8, traceId="other", isRootObservation=False, traceName=None),
        ]
    ).to_pylist()
    mine = [row for row in rows if row["trace_id"] == "t"]
    assert {row["feature"] for row in mine} == {"chat"}
    assert {row["user_id"] for row in mine} == {"u1"}
    assert {row["release"] for row in mine} == {"r9"}
    assert {row["session_id"] for row in mine} == {"s"}
    assert [row["feature"] for row in rows if row["trace_id"] == "other"] == [""]


def test_a_rows_own_label_is_not_overwritten_by_the_roots() -> None:
    rows = landed(
        [
            observation(1, traceId="t", id="root", isRootObservation=True, userId="u1"),
            observation(2, traceId="t", id="child", isRootObservation=False, userId="u2"),
        ]
    ).to_pylist()
    assert {row["observation_id"]: row["user_id"] for row in rows} == {"root": "u1", "child": "u2"}


def test_a_generation_around_a_generation_is_no_call() -> None:
    rows = landed(
        [
            observation(1, traceId="t", id="wrapper"),
            observation(2, traceId="t", id="step", type="CHAIN", parentObservationId="wrapper"),
            observation(3, traceId="t", id="call", parentObservationId="step"),
            observation(4, traceId="t", id="span", type="SPAN"),
            observation(5, traceId="t", id="vector", type="EMBEDDING"),
        ]
    ).to_pylist()
    assert {r["observation_id"] for r in rows if r["is_model_call"]} == {"call", "vector"}


def test_a_model_asked_inside_a_tool_is_a_call_beside_the_one_that_used_the_tool() -> None:
    rows = landed(
        [
            observation(1, traceId="t", id="outer"),
            observation(2, traceId="t", id="tool", type="TOOL", parentObservationId="outer"),
            observation(3, traceId="t", id="inner", parentObservationId="tool"),
        ]
    ).to_pylist()
    assert {r["observation_id"] for r in rows if r["is_model_call"]} == {"outer", "inner"}


def test_parents_that_go_in_circles_do_no_harm() -> None:
    rows = landed(
        [
            observation(1, traceId="t", id="a", parentObservationId="b"),
            observation(2, traceId="t", id="b", parentObservationId="a"),
            observation(3, traceId="t", id="self", parentObservationId="self"),
        ]
    )
    assert rows.num_rows == 3


def test_the_newest_version_of_a_row_is_kept_whatever_the_order() -> None:
    old = observation(1, costDetails={"total": 1.0}, updatedAt="2026-03-04T10:00:00.000Z")
    new = observation(1, costDetails={"total": 2.0}, updatedAt="2026-03-04T11:00:00.000Z")
    for rows in ([old, new], [new, old], [old, new, old]):
        assert landed(rows)["reported_cost_usd"].to_pylist() == [Decimal(2)]


def test_versions_of_one_instant_give_the_same_row_in_any_order() -> None:
    first = observation(1, costDetails={"total": 1.0})
    other = observation(1, costDetails={"total": 2.0})
    assert landed([first, other]).equals(landed([other, first]))


def test_the_tenant_is_found_by_the_first_rule_that_has_a_value() -> None:
    rules = DimensionRules(tenant=("tag:team:", "metadata:customer", "user_id"))
    rows = [
        observation(1, traceId="a", tags=["x", "team:red"], metadata={"customer": "acme"}),
        observation(2, traceId="b", tags=["x"], metadata={"customer": '"acme"'}, userId="u"),
        observation(3, traceId="c", metadata={"attributes": {"customer": 7}}),
        observation(4, traceId="d", userId="u"),
    ]
    assert landed(rows, rules)["tenant"].to_pylist() == ["red", "acme", "7", "u"]


@pytest.mark.parametrize(
    ("environment", "overhead"),
    [
        ("production", False),
        ("langfuse-llm-as-a-judge", True),
        ("sdk-experiment", True),
        ("my-langfuse-app", False),
    ],
)
def test_langfuses_own_environments_are_evaluation_overhead(
    environment: str, overhead: bool
) -> None:
    assert one(environment=environment)["is_evaluation"] is overhead


def test_a_long_label_is_cut_and_stays_different_from_its_neighbours() -> None:
    names = [one(name="x" * 300 + end)["name"] for end in "ab"]
    assert [len(name) for name in names] == [200, 200]
    assert names[0] != names[1]
    assert one(name="x" * 200)["name"] == "x" * 200


def test_characters_of_every_plane_survive_and_nul_does_not() -> None:
    row = one(name="\U0001f600 \u0644 \U0010fffd", model="a\x00b")
    assert row["name"] == "\U0001f600 \u0644 \U0010fffd"
    assert "\x00" not in row["model"]


@pytest.mark.parametrize(
    ("end", "latency", "seconds"),
    [
        ("2026-03-04T00:00:02.500Z", 2.5, 2.5),
        ("2026-03-04T00:00:02.500Z", 2500, 2.5),  # milliseconds, by an older export
        ("2026-03-04T00:00:00.000Z", None, None),  # still open
        ("2026-03-04T00:00:00.000Z", 0, 0),
        ("2200-01-01T00:00:00.000Z", 5e9, None),
        ("1970-01-01T00:00:00.000Z", -1, None),
        (None, None, None),
    ],
)
def test_latency_is_what_the_clock_says(
    end: str | None, latency: float | None, seconds: float | None
) -> None:
    assert one(number=0, endTime=end, latency=latency)["latency_s"] == seconds


def test_metadata_is_read_flat_nested_quoted_and_cut() -> None:
    reader = Reader()
    flat = '{"attributes.gen_ai.system":"openai","attributes.gen_ai.request.model":"\\"gpt-4o\\""}'
    assert reader.read(flat)[:2] == ("openai", "gpt-4o")
    nested = '{"attributes":{"ai.model.provider":"openai.responses","finish_reason":["stop"]}}'
    assert reader.read(nested)[:3] == ("openai", "", "stop")
    assert reader.read('{"finish_reason":"\\"cut off in the mid"}')[2] == "cut off in the mid"
    assert reader.read('{"tools":[{"function":{"name":"b"}},{"name":"a"}]}')[3] == '["a", "b"]'
    assert reader.read("not json") == ("", "", "", "[]", "", {})


def test_the_provider_is_named_by_convention_or_told_by_the_model() -> None:
    assert provider_name("az.ai.openai") == "azure.ai.openai"
    assert provider_name("Something-New") == "something-new"
    for model, provider in {
        "gpt-4.1-mini": "openai",
        "claude-haiku-4-5-20251001": "anthropic",
        "us.anthropic.claude-sonnet-4-20250514-v1:0": "aws.bedrock",
        "gemini-2.5-flash": "gcp.gemini",
        "projects/p/locations/l/publishers/google/models/gemini-2.5-pro": "gcp.vertex_ai",
        "deepseek-chat": "deepseek",
        "our-own-model": "",
    }.items():
        assert provider_of_model(model) == provider
    assert one(model="projects/p/publishers/google/models/gemini-2.5-pro")["model"] == (
        "gemini-2.5-pro"
    )


@pytest.mark.parametrize(
    ("metadata", "parameters", "tier"),
    [
        ({"attributes.gen_ai.openai.response.service_tier": "flex"}, {}, "flex"),
        ({"attributes": {"gen_ai.openai.request.service_tier": "priority"}}, {}, "priority"),
        (
            {
                "attributes.gen_ai.openai.request.service_tier": "auto",
                "attributes.gen_ai.openai.response.service_tier": "priority",
            },
            {"service_tier": "auto", "temperature": 0.1},
            "priority",
        ),
        ({"response_metadata": {"id": "x", "service_tier": "default"}}, {}, "default"),
        ({"response": json.dumps({"usage": {"service_tier": "batch"}})}, {}, "batch"),
        # The AI SDK's, JSON inside JSON, and cut where the API cuts metadata.
        (
            {
                "attributes.ai.response.providerMetadata": json.dumps(
                    json.dumps({"openai": {"serviceTier": "flex", "more": "x" * 300}})
                )[:200]
            },
            {},
            "flex",
        ),
        ({"tier": "gold", "serviceTier": 3}, {"service_tier": "flex"}, "flex"),
        ({"note": "no service tier: at all"}, {}, None),
    ],
)
def test_the_service_tier_is_found_where_frameworks_leave_it(
    metadata: dict[str, Any], parameters: dict[str, Any], tier: str | None
) -> None:
    (row,) = landed([observation(metadata=metadata, modelParameters=parameters)]).to_pylist()
    told = json.loads(row["model_parameters"])
    assert told.pop("service_tier", None) == tier
    parameters.pop("service_tier", None)
    assert told == parameters


def test_ids_of_any_length_stay_what_they_are() -> None:
    long = "a" * 500
    rows = landed(
        [
            observation(1, id=f"{long}1", traceId=f"{long}t"),
            observation(2, id=f"{long}2", traceId=f"{long}t", parentObservationId=f"{long}1"),
        ]
    ).to_pylist()
    assert [row["observation_id"] for row in rows] == [f"{long}1", f"{long}2"]
    assert rows[1]["parent_observation_id"] == f"{long}1"
    assert [row["is_model_call"] for row in rows] == [False, True]
