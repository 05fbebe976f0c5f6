"""A synthetic day of an application: traces of a root and two model calls, retries, votes, prices.

Deterministic from the day. Hex ids as long as real ones, skewed tenants and users, lognormal
lengths and times, 3 % failed calls, 2 % of traces voted on, a source that prices nine calls in ten.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.config import Settings
from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import schema
from llmops_jobs.ledger.book import load_book

PROJECT: Final = "bench"
DAY: Final = date(2026, 9, 1)
CALLS: Final = 1_000_000
MODELS: Final = (
    *(("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("openai", "gpt-5")),
    *(("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro"), ("", "house-model")),
)
_MESSAGES: Final = (
    "Error code: 429 - {{'error': {{'message': 'Rate limit reached for m in org-{n}'}}}}",
    "Request timed out after {n} s",
    "Error code: 500 - {{'error': {{'message': 'Internal server error', 'id': 'req_{n}'}}}}",
    "1 validation error for Answer{n} field required",
)
_INSTANT: Final = pa.timestamp("us", tz="UTC")


def home_in(folder: Path | str) -> Deployment:
    """A deployment with the defaults, all of it under one folder."""
    settings = Settings(
        home=str(folder),
        database_url=f"sqlite:///{folder}/llmops.db",
        lake_url=f"{folder}/lake",
    )
    return Deployment(settings)


def land(home: Deployment, day: date = DAY, calls: int = CALLS) -> None:
    """The day's observations and scores; its costs are what the asset `costs` makes of them."""
    home.lake.replace_day("observations", PROJECT, day, observations(day, calls))
    home.lake.replace_day("scores", PROJECT, day, scores(day, calls))


def observations(day: date, calls: int) -> pa.Table:
    """`calls` model calls and half as many roots."""
    rng = np.random.default_rng(day.toordinal())
    traces = calls // 2
    trace = np.concatenate([np.arange(traces), np.repeat(np.arange(traces), 2)])
    root = np.arange(len(trace)) < traces
    n = len(trace)
    model = rng.choice(len(MODELS), n, p=[0.25, 0.35, 0.1, 0.15, 0.1, 0.05])
    feature = (np.arange(traces) % 6)[trace]
    failed = ~root & (rng.random(n) < 0.03)
    seconds = rng.lognormal(0.4, 0.7, n)
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1e6)
    begin = rng.uniform(0, 86_000, traces)[trace] + np.where(root, 0, 0.2)
    start = midnight + (begin * 1e6).astype(np.int64)
    unused = root | failed
    inputs = np.where(unused, 0, rng.lognormal(6.8, 1.1, n).astype(np.int64))
    outputs = np.where(unused, 0, 1 + rng.lognormal(5.2, 0.9, n).astype(np.int64))
    cached = np.where(rng.random(n) < 0.4, (inputs * rng.random(n)).astype(np.int64), 0)
    columns: dict[str, pa.Array] = {
        "trace_id": _ids(day, traces).take(pa.array(trace)),
        "observation_id": pa.array([f"{k:016x}" for k in range(n)]),
        "parent_observation_id": _pick(root, ["root", ""]),
        "type": _pick(root, ["GENERATION", "SPAN"]),
        "name": _pick(root, ["call", "request"]),
        "start_time": _instants(start),
        "end_time": _instants(start + (seconds * 1e6).astype(np.int64)),
        "completion_start_time": _instants(start + 200_000),
        "latency_s": pa.array(seconds),
        "time_to_first_token_s": pa.array(np.where(root, np.nan, seconds * 0.3), from_pandas=True),
        "level": _pick(failed, ["DEFAULT", "ERROR"]),
        "status_message": _messages(failed, rng.integers(0, 9_999, n)),
        "finish_reason": _pick(unused, ["stop", ""]),
        "environment": _pick(rng.random(traces)[trace] < 0.05, ["production", "staging"]),
        "user_id": _text("u", rng.zipf(1.3, traces)[trace] % 50_000),
        "session_id": _text("s", trace // 3),
        "is_root": pa.array(root),
        "feature": _pick(feature, [f"feature-{k}" for k in range(6)]),
        "tenant": _pick(_tenants(rng, traces)[trace], [f"tenant-{k}" for k in range(40)]),
        "provider": _of_calls(root, _pick(model, [provider for provider, _ in MODELS])),
        "model": _of_calls(root, _pick(model, [name for _, name in MODELS])),
        "request_model": _of_calls(root, _pick(model, [name for _, name in MODELS])),
        "model_parameters": _pick(rng.random(n) < 0.5, ["{}", '{"temperature":0.2}']),
        "prompt_name": _of_calls(root, _pick(feature, [f"prompt-{k}" for k in range(6)])),
        "prompt_version": pa.array(1 + trace % 3, pa.int32(), mask=root),
        "is_model_call": pa.array(~root),
        "is_evaluation": pa.array(np.zeros(n, bool)),
        "input_tokens": pa.array(inputs),
        "output_tokens": pa.array(outputs),
        "cache_read_tokens": pa.array(cached),
        "usage_details": _of_calls(root, _usage(inputs, outputs, cached)),
        "cost_details": _pick(root, ['{"total":0.001}', ""]),
    }
    target = schema.OBSERVATIONS
    rows = pa.table({f.name: columns.get(f.name, _blank(f, n)) for f in target}).cast(target)
    return _with_reported(rows, rng.random(n) < 0.1)


def scores(day: date, calls: int) -> pa.Table:
    """A thumb on one trace in fifty."""
    rng = np.random.default_rng(day.toordinal() + 1)
    rated = np.flatnonzero(rng.random(calls // 2) < 0.02)
    n = len(rated)
    columns: dict[str, pa.Array] = {
        "score_id": _text("v", rated),
        "name": pa.repeat("user_feedback", n),
        "source": pa.repeat("API", n),
        "data_type": pa.repeat("BOOLEAN", n),
        "value": pa.array((rng.random(n) < 0.8).astype(float)),
        "subject_kind": pa.repeat("trace", n),
        "trace_id": _ids(day, calls // 2).take(pa.array(rated)),
    }
    return pa.table({f.name: columns.get(f.name, _blank(f, n)) for f in schema.SCORES})


def _with_reported(rows: pa.Table, unknown: np.ndarray) -> pa.Table:
    """With the source's cost: ours, but for the calls that it never priced."""
    calls = rows["is_model_call"].combine_chunks()
    ours = load_book().price(rows)["cost_usd"].combine_chunks()
    told = pc.replace_with_mask(pa.nulls(len(rows), schema.USD), calls, ours)
    told = pc.if_else(pa.array(unknown), pa.scalar(None, schema.USD), told)
    return rows.set_column(
        rows.schema.get_field_index("reported_cost_usd"), "reported_cost_usd", told
    )


def _ids(day: date, traces: int) -> pa.Array:
    return pa.array([f"{day.toordinal():08x}{k:024x}" for k in range(traces)])


def _tenants(rng: np.random.Generator, traces: int) -> np.ndarray:
    weights = 1 / np.arange(1, 41) ** 1.1
    return rng.choice(40, traces, p=weights / weights.sum())


def _messages(failed: np.ndarray, told: np.ndarray) -> pa.Array:
    texts = [_MESSAGES[k % 4].format(n=k) for k in told[failed].tolist()]
    return pc.replace_with_mask(
        pa.repeat("", len(failed)), pa.array(failed), pa.array(texts, pa.string())
    )


def _usage(inputs: np.ndarray, outputs: np.ndarray, cached: np.ndarray) -> pa.Array:
    parts = [pa.array(each).cast(pa.string()) for each in (inputs - cached, outputs, cached)]
    texts = ['{"input":', ',"output":', ',"input_cached_tokens":', "}"]
    return pc.binary_join_element_wise(
        texts[0], parts[0], texts[1], parts[1], texts[2], parts[2], texts[3], ""
    )


def _of_calls(root: np.ndarray, values: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(root), "", values)


def _text(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "-")


def _pick(codes: np.ndarray, values: list[str]) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(codes.astype(np.int32)))


def _instants(microseconds: np.ndarray) -> pa.Array:
    return pa.array(microseconds, pa.int64()).cast(_INSTANT)


def _blank(field: pa.Field, n: int) -> pa.Array:
    if pa.types.is_string(field.type):
        return pa.repeat("", n)
    return pa.repeat(0, n) if pa.types.is_int64(field.type) else pa.nulls(n, field.type)
