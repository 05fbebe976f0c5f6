"""The one shape of a source row before its meaning is worked out, whatever it was read from.

Every source (API, export, OTLP) makes Arrow tables of RAW_OBSERVATIONS and RAW_SCORES, plus the
rows it had to refuse. Objects stay JSON text here; `rows` and `usage` read them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import pyarrow as pa

_S, _T = pa.string(), pa.timestamp("us", tz="UTC")

RAW_OBSERVATIONS = pa.schema(
    [
        ("observation_id", _S),
        ("trace_id", _S),
        ("project_id", _S),  # '' where the source does not say
        ("start_time", _T),
        ("end_time", _T),
        ("parent_observation_id", _S),
        ("type", _S),
        ("name", _S),
        ("level", _S),
        ("status_message", _S),
        ("version", _S),
        ("environment", _S),
        ("completion_start_time", _T),
        ("created_at", _T),
        ("updated_at", _T),
        ("metadata", _S),  # JSON object
        ("model", _S),
        ("model_parameters", _S),  # JSON object
        ("usage_details", _S),  # JSON object
        ("cost_details", _S),  # JSON object
        ("prompt_name", _S),
        ("prompt_version", pa.int64()),
        ("latency_s", pa.float64()),
        ("time_to_first_token_s", pa.float64()),
        ("user_id", _S),
        ("session_id", _S),
        ("is_root", pa.bool_()),
        ("trace_name", _S),
        ("release", _S),
        ("tags", pa.list_(_S)),
    ]
)

RAW_SCORES = pa.schema(
    [
        ("score_id", _S),
        ("project_id", _S),
        ("name", _S),
        ("source", _S),
        ("data_type", _S),
        ("value", pa.float64()),
        ("string_value", _S),
        ("comment", _S),
        ("timestamp", _T),
        ("created_at", _T),
        ("updated_at", _T),
        ("environment", _S),
        ("config_id", _S),
        ("author_user_id", _S),
        ("queue_id", _S),
        ("subject_kind", _S),
        ("trace_id", _S),
        ("observation_id", _S),
        ("session_id", _S),
        ("metadata", _S),
    ]
)


@dataclass(frozen=True)
class Reject:
    """A source row that cannot be kept. `excerpt` shows the offending value, never a text."""

    row_id: str
    reason: str
    excerpt: str = ""


@dataclass(frozen=True)
class Batch:
    """Some rows as a source gave them, and what reading them took."""

    rows: pa.Table
    rejects: list[Reject] = field(default_factory=list)
    pages: int = 1
    bytes: int = 0


class Source(Protocol):
    """Where a project's rows come from. Batches of one day may overlap: rows are deduplicated."""

    def observations(self, day: date) -> Iterator[Batch]:
        """Rows of RAW_OBSERVATIONS that start on this UTC day, in batches of bounded size.

        Raises SourceError when the day could not be read to its end.
        """
        ...

    def scores(self, day: date) -> Iterator[Batch]:
        """Rows of RAW_SCORES whose timestamp is on this UTC day, likewise."""
        ...

    def texts(self, wanted: pa.Table) -> pa.Table:
        """Input, output and metadata of chosen observations.

        `wanted` has trace_id, observation_id and start_time; the result trace_id, observation_id,
        input, output, metadata (JSON object) for those that the source still has.
        """
        ...

    def close(self) -> None: ...


def row_key(value: Any) -> str:
    """A key for the quarantine: the row's id, or a hash of whatever stands for it."""
    if isinstance(value, str) and 0 < len(value) <= 200:
        return value
    return "sha256:" + hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()[:32]
