"""Facts for tests: rows of the lake's tables, with a sensible value for everything left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from llmops_jobs.lake import schema

PROJECT = "test-project"
DAY = date(2026, 3, 4)
START = datetime(2026, 3, 4, 12, tzinfo=UTC)

_OBSERVATION: dict[str, Any] = {
    "project_id": PROJECT,
    "day": DAY,
    "type": "GENERATION",
    "name": "llm-call",
    "start_time": START,
    "end_time": START + timedelta(seconds=2),
    "created_at": START + timedelta(seconds=10),
    "updated_at": START + timedelta(seconds=10),
    "latency_s": 2.0,
    "time_to_first_token_s": 0.4,
    "level": "DEFAULT",
    "finish_reason": "stop",
    "environment": "production",
    "tags": [],
    "is_root": False,
    "feature": "chat",
    "tenant": "acme",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "request_model": "gpt-4o-mini",
    "model_parameters": "{}",
    "tool_names": "[]",
    "prompt_name": "chat",
    "prompt_version": 1,
    "is_model_call": True,
    "is_evaluation": False,
    "input_tokens": 1000,
    "output_tokens": 200,
    "usage_details": '{"input":1000,"output":200,"total":1200}',
    "cost_details": '{"total":0.00027}',
    "reported_cost_usd": Decimal("0.00027"),
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "observations": _OBSERVATION,
    "scores": {
        "project_id": PROJECT,
        "day": DAY,
        "name": "user_feedback",
        "source": "API",
        "data_type": "BOOLEAN",
        "value": 1.0,
        "timestamp": START,
        "created_at": START,
        "updated_at": START,
        "environment": "production",
        "subject_kind": "trace",
        "metadata": "{}",
    },
    "costs": {"project_id": PROJECT, "day": DAY, "cost_usd": Decimal("0.00027")},
    "outcomes": {"project_id": PROJECT, "day": DAY, "attempt": 1, "attempts": 1, "is_final": True},
    "observation_text": {"project_id": PROJECT, "day": DAY, "inclusion_probability": 1.0},
}


def facts(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of a lake table. Ids that are left out are numbered; missing strings are empty and
    missing token counts 0."""
    target = schema.TABLES[table]
    columns: dict[str, list[Any]] = {field.name: [] for field in target}
    for number, row in enumerate(rows):
        unknown = set(row) - set(target.names)
        assert not unknown, f"{table} has no column {unknown}"
        ids = {"trace_id": f"trace-{number}", "observation_id": f"obs-{number}"}
        ids |= {"score_id": f"score-{number}"}
        filled = {**ids, **_DEFAULTS[table], **row}
        for field in target:
            columns[field.name].append(filled.get(field.name, _blank(field)))
    return pa.Table.from_pydict(columns, schema=target)


def _blank(field: pa.Field) -> Any:
    if pa.types.is_string(field.type):
        return ""
    if pa.types.is_int64(field.type):
        return 0
    if pa.types.is_boolean(field.type):
        return False
    return None
