"""The Arrow schemas of the lake's tables: the facts, one row each, as every later stage reads them.

Every table is partitioned by `project_id` and `day` (a UTC day). Missing strings are empty, never
null; missing numbers and times are null. Token counts follow OpenTelemetry's *inclusive* reading:
`input_tokens` contains cached, written and audio input, `output_tokens` contains reasoning.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

_INSTANT = pa.timestamp("us", tz="UTC")
# 18 digits before and 12 behind the point: Langfuse's own type for money.
USD = pa.decimal128(30, 12)

PARTITION: Final = ("project_id", "day")
_PARTITION_FIELDS = [pa.field("project_id", pa.string()), pa.field("day", pa.date32())]


def _table(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([*_PARTITION_FIELDS, *(pa.field(name, kind) for name, kind in fields)])


_S, _I, _F, _B = pa.string(), pa.int64(), pa.float64(), pa.bool_()

#: One row per observation (deduplicated on trace and id), no text of users. `day` is the UTC day
#: of `start_time`.
OBSERVATIONS = _table(
    ("trace_id", _S),
    ("observation_id", _S),
    ("parent_observation_id", _S),
    ("type", _S),  # SPAN, GENERATION, EVENT, AGENT, TOOL, CHAIN, RETRIEVER, EVALUATOR, ...
    ("name", _S),
    ("start_time", _INSTANT),
    ("end_time", _INSTANT),
    ("completion_start_time", _INSTANT),
    ("created_at", _INSTANT),
    ("updated_at", _INSTANT),
    ("latency_s", _F),
    ("time_to_first_token_s", _F),
    ("level", _S),  # DEBUG, DEFAULT, WARNING, ERROR
    ("status_message", _S),
    ("finish_reason", _S),
    ("environment", _S),
    ("release", _S),
    ("version", _S),
    ("user_id", _S),
    ("session_id", _S),
    ("tags", pa.list_(_S)),
    ("is_root", _B),
    ("feature", _S),  # trace name, coalesced over the trace's rows
    ("tenant", _S),  # by the configured rule (tag, metadata key or user), coalesced likewise
    ("provider", _S),
    ("model", _S),  # the model that answered
    ("request_model", _S),  # the model asked for; equal to `model` when the source has one only
    ("model_parameters", _S),  # JSON object
    ("tool_names", _S),  # JSON list, sorted
    ("prompt_name", _S),
    ("prompt_version", pa.int32()),
    ("is_model_call", _B),  # a billable call: a generation or embedding, not a roll-up parent
    ("is_evaluation", _B),
    ("input_tokens", _I),
    ("output_tokens", _I),
    ("cache_read_tokens", _I),  # part of input_tokens
    ("cache_write_tokens", _I),  # part of input_tokens; both lifetimes together
    ("cache_write_1h_tokens", _I),  # part of cache_write_tokens
    ("reasoning_tokens", _I),  # part of output_tokens
    ("input_audio_tokens", _I),
    ("output_audio_tokens", _I),
    ("input_image_tokens", _I),
    ("usage_details", _S),  # JSON object as reported, for audit
    ("usage_issue", _S),  # '' or why the reported counts are doubtful: overlap, negative, ...
    ("cost_details", _S),  # JSON object as reported
    ("reported_cost_usd", USD),  # null when the source knows no cost; 0 means free
)

#: Input and output of the observations that evaluation reads; its own table, so that it can have
#: its own retention and never travels with the metrics.
OBSERVATION_TEXT = _table(
    ("trace_id", _S),
    ("observation_id", _S),
    ("input", _S),
    ("output", _S),
    ("metadata", _S),  # JSON object
    ("inclusion_probability", _F),  # of this row among the day's model calls
)

#: One row per score; `day` is the UTC day of the score's own timestamp.
SCORES = _table(
    ("score_id", _S),
    ("name", _S),
    ("source", _S),  # API, EVAL, ANNOTATION
    ("data_type", _S),  # NUMERIC, BOOLEAN, CATEGORICAL, TEXT, CORRECTION
    ("value", _F),  # number, or 0/1 for BOOLEAN; null for the others
    ("string_value", _S),
    ("comment", _S),
    ("timestamp", _INSTANT),
    ("created_at", _INSTANT),
    ("updated_at", _INSTANT),
    ("environment", _S),
    ("config_id", _S),
    ("author_user_id", _S),
    ("queue_id", _S),
    ("subject_kind", _S),  # trace, observation, session, experiment
    ("trace_id", _S),
    ("observation_id", _S),
    ("session_id", _S),
    ("metadata", _S),  # JSON object
)

#: One row per model call: what it cost by the price book. Derived, so a new price needs no pull.
COSTS = _table(
    ("trace_id", _S),
    ("observation_id", _S),
    ("cost_usd", USD),  # null when unpriced
    ("price_status", _S),  # reported, list, override, unpriced
    ("price_id", _S),  # row of the price book, '' when unpriced or reported
    ("input_usd", USD),
    ("cache_read_usd", USD),
    ("cache_write_usd", USD),
    ("output_usd", USD),
    ("other_usd", USD),  # requests, tools, audio, images
    ("price_book_hash", _S),
    ("issue", _S),  # '' or why the amount is missing or doubtful: missing_price, ...
)

#: One row per model call: how it ended. Joined to the rest on trace and observation.
OUTCOMES = _table(
    ("trace_id", _S),
    ("observation_id", _S),
    ("error_type", _S),  # '' for success; the taxonomy of signals.errors
    ("family_id", _S),  # stable id of the error's template, '' for success
    ("logical_call_id", _S),  # attempts of one call share it
    ("attempt", pa.int32()),  # 1 for the first
    ("attempts", pa.int32()),  # of the logical call
    ("is_final", _B),  # last attempt of the logical call
    ("waste_reason", _S),  # '' or failed, superseded, truncated, schema_invalid, user_rejected
    ("wasted_usd", USD),
)

TABLES: Final[dict[str, pa.Schema]] = {
    "observations": OBSERVATIONS,
    "observation_text": OBSERVATION_TEXT,
    "scores": SCORES,
    "costs": COSTS,
    "outcomes": OUTCOMES,
}


def empty(table: str) -> pa.Table:
    return TABLES[table].empty_table()
