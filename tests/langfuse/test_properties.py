"""Whatever a row holds: it lands or is refused, by itself, and never takes another one with it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_jobs.lake import schema
from llmops_jobs.langfuse.rows import DRAFT, Normaliser
from llmops_jobs.langfuse.score_rows import score_rows
from llmops_jobs.langfuse.settings import DimensionRules
from llmops_jobs.langfuse.traces import finish
from llmops_jobs.langfuse.usage import COLUMNS, normalise, slot_of
from llmops_jobs.langfuse.wire import (
    Decoder,
    Observation,
    Score,
    observation_table,
    score_table,
)
from tests.langfuse.wire_rows import DAY, observation, score

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.sampled_from(["", "NaN", "1970-01-01T00:00:00Z", "2200-01-01T00:00:00.000Z", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = [
    *observation(), "statusMessage", "version", "environment", "userId", "sessionId", "metadata",
    "tags", "traceName", "release", "promptName", "promptVersion", "latency", "timeToFirstToken",
    "parentObservationId", "isRootObservation", "modelParameters", "completionStartTime", "level",
]  # fmt: skip
changes = st.dictionaries(st.sampled_from(KEYS), anything, max_size=4)
NORMALISER = Normaliser(DimensionRules(tenant=("tag:t:", "metadata:k", "user_id")))


def body(rows: list[dict[str, Any]]) -> bytes:
    """As a server in Python might write it: NaN bare, half surrogate pairs escaped."""
    return json.dumps({"data": rows, "meta": {}}).encode()


@settings(max_examples=80, deadline=None)
@given(changed=changes)
def test_a_row_of_any_content_lands_or_is_refused_and_its_neighbours_land(
    changed: dict[str, Any],
) -> None:
    good = [observation(n, id=f"good{n}", traceId=f"g{n}") for n in range(2)]
    page = Decoder(Observation).decode(body([good[0], {**observation(9), **changed}, good[1]]))
    rows, refused = NORMALISER.rows(observation_table(page.rows), DAY)
    landed, duplicates = finish(rows)
    assert landed.schema.equals(DRAFT)
    assert landed.num_rows + duplicates + len(page.rejects) + len(refused) == 3
    assert {"good0", "good1"} <= set(landed["observation_id"].to_pylist())
    for reject in (*page.rejects, *refused):
        assert reject.reason
        assert len(reject.excerpt) <= 120
    for row in landed.to_pylist():
        for name in COLUMNS:
            assert row[name] is None or row[name] >= 0
        assert row["latency_s"] is None or row["latency_s"] >= 0
        for field in landed.schema:
            if pa.types.is_string(field.type):
                assert row[field.name] is not None, field.name
        assert max(len(row[name]) for name in ("name", "feature", "tenant", "model")) <= 200


@settings(max_examples=40, deadline=None)
@given(changed=st.dictionaries(st.sampled_from([*score(), "comment", "metadata"]), anything))
def test_a_score_of_any_content_lands_or_is_refused_and_its_neighbours_land(
    changed: dict[str, Any],
) -> None:
    page = Decoder(Score).decode(body([score(1), {**score(9), **changed}, score(2)]))
    rows, refused = score_rows(score_table(page.rows), DAY, "")
    assert rows.num_rows + len(page.rejects) + len(refused) == 3
    assert {"s1", "s2"} <= set(rows["score_id"].to_pylist())
    assert set(rows.column_names) == set(schema.SCORES.names) - set(schema.PARTITION)


usage_keys = st.sampled_from(
    [
        "input", "output", "total", "input_cached_tokens", "cache_read_input_tokens",
        "cache_creation_input_tokens", "input_cache_creation_1h", "output_reasoning_tokens",
        "prompt_tokens", "completion_tokens", "total_tokens", "promptTokenCount",
        "thoughtsTokenCount", "prompt_tokens_details.cached_tokens", "input_audio",
        "completion_tokens_details.reasoning_tokens", "gen_ai.usage.input_tokens", "anything",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(usage=st.dictionaries(usage_keys, st.integers(0, 10**6), max_size=6))
def test_counts_of_any_usage_are_whole_and_a_part_is_inside_or_named(
    usage: dict[str, int],
) -> None:
    (row,) = normalise([json.dumps(usage)]).to_pylist()
    known = any(slot_of(key) for key in usage)
    assert all((row[name] is not None) == known for name in COLUMNS)
    if not known:
        return
    inside = row["cache_read_tokens"] + row["cache_write_tokens"] <= row["input_tokens"]
    inside &= row["reasoning_tokens"] <= row["output_tokens"]
    assert inside or "part_exceeds_whole" in row["usage_issue"]
    assert row["cache_write_1h_tokens"] <= row["cache_write_tokens"]
    # Nothing is counted that was not reported.
    assert row["input_tokens"] + row["output_tokens"] <= sum(usage.values())
    # The order of the keys means nothing.
    backwards = dict(reversed(list(usage.items())))
    assert normalise([json.dumps(backwards)]).to_pylist() == [row]


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(8)))
def test_the_same_rows_in_any_order_are_the_same_day(order: list[int]) -> None:
    rows = [
        observation(n, id=f"o{n % 6}", traceId=f"t{n % 2}", userId="u" if n == 3 else "",
                    costDetails={"total": n}, parentObservationId=f"o{(n * 5) % 6}")
        for n in range(8)
    ]  # fmt: skip

    def day(sequence: list[dict[str, Any]]) -> pa.Table:
        page = Decoder(Observation).decode(body(sequence))
        return finish(NORMALISER.rows(observation_table(page.rows), DAY)[0])[0]

    assert day([rows[n] for n in order]).equals(day(rows))
