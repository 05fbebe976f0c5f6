"""A day of a million model calls: all marts of this stage against one hand-written query.

The rival is one DuckDB query over the same Parquet files that computes exactly the same exact
percentiles (calls and traces), counts and sums by hand, and writes nothing. Ratios are of this run.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from llmops_jobs.config import Settings
from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import schema

PROJECT = "bench"
DAY = date(2026, 9, 1)
CALLS = 1_000_000
_MESSAGES = (
    "Error code: 429 - {{'error': {{'message': 'Rate limit reached for m in org-{n}'}}}}",
    "Request timed out after {n} s",
    "Error code: 500 - {{'error': {{'message': 'Internal server error', 'id': 'req_{n}'}}}}",
    "1 validation error for Answer{n} field required",
)


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, so that peak memory is that of the work.
        subprocess.run([sys.executable, "-m", "bench.signals", folder], check=True)
        home = _home(Path(folder))
        rival = best(lambda: hand_written(home))
        print(f"   one hand-written query: {rival:.2f} CPU-s (1.0)")
        total = 0.0
        for name, (computed, written) in nightly(home).items():
            total += computed + written
            print(
                f"   {name}: computed in {computed:.2f} CPU-s ({computed / rival:.2f}), "
                f"written in {written:.2f}"
            )
        print(f"   all, written: {total:.2f} CPU-s ({total / rival:.2f} of the query)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(f"   peak memory {peak:.2f} GiB")
        month(home)


def best(work: Callable[[], object], times: int = 2) -> float:
    """CPU seconds of the best run: unlike the clock they do not depend on who else computes."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def nightly(home: Deployment) -> dict[str, tuple[float, float]]:
    """CPU seconds of each step: to compute its rows, and to write them besides."""
    from llmops_jobs.signals import errors, feedback, latency, outcomes, unit_cost
    from llmops_jobs.signals import nightly as steps

    settings = home.settings.signals
    where = (home.engine, home.lake, PROJECT, [DAY])
    parts: dict[str, tuple[Callable[[], object], Callable[..., object]]] = {
        "outcomes": (lambda: list(outcomes.compute(*where, settings)), steps.write_outcomes),
        "latency_daily": (lambda: latency.measure(*where), steps.write_latency),
        "error_daily": (lambda: errors.measure(*where), steps.write_errors),
        "feedback_daily": (
            lambda: feedback.measure(*where, settings.feedback),
            steps.write_feedback,
        ),
        "unit_cost_daily": (
            lambda: unit_cost.measure(
                home.engine, home.lake, home.database, PROJECT, [DAY], settings.feedback
            ),
            steps.write_unit_cost,
        ),
    }
    taken = {}
    for name, (compute, write) in parts.items():
        whole = best(lambda write=write: list(write(home, PROJECT, [DAY])))  # type: ignore[misc]
        computed = best(compute, 1)
        taken[name] = (computed, max(whole - computed, 0.0))
    return taken


def month(home: Deployment) -> None:
    """Percentiles by model of thirty days like this one, from histograms alone."""
    from llmops_jobs.signals import histogram

    started = time.process_time()
    for _ in range(30):
        rows = home.database.read(
            "SELECT model, metric, bucket, gamma, sum(n) AS n FROM latency_histogram "
            "WHERE level = 'observation' GROUP BY model, metric, bucket, gamma"
        )
    read = time.process_time() - started
    histogram.quantiles(rows, by=["model", "metric"])
    print(
        f"   thirty days of histograms: read in {read:.2f} CPU-s, percentiles by model in "
        f"{time.process_time() - started - read:.2f}"
    )


def hand_written(home: Deployment) -> None:
    import duckdb

    files = {name: home.lake.files(name, PROJECT, [DAY]) for name in ("observations", "costs")}
    cell = (
        "environment, provider, model, feature, prompt_name, prompt_version, tenant, is_evaluation"
    )
    q = "[0.5, 0.9, 0.95, 0.99]"
    with contextlib.closing(duckdb.connect()) as db:
        for name, found in files.items():
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({found})")
        db.sql(
            f"""
            WITH calls AS (
                SELECT o.*, c.cost_usd
                FROM observations o LEFT JOIN costs c USING (trace_id, observation_id)
                WHERE is_model_call
            ), traces AS (
                SELECT trace_id, max(end_time) - min(start_time) AS total,
                    arg_max({{'e': environment, 'p': provider, 'm': model, 'f': feature,
                        'n': prompt_name, 'v': prompt_version, 't': tenant, 'i': is_evaluation}},
                        start_time) AS cell,
                    sum(output_tokens) AS tokens
                FROM observations GROUP BY 1
            )
            SELECT 'observation' AS level, {cell}, count(*), sum(cost_usd),
                sum(input_tokens), sum(output_tokens), count(*) FILTER (level = 'ERROR'),
                quantile_cont(latency_s, {q}), quantile_cont(time_to_first_token_s, {q}),
                quantile_cont(output_tokens / nullif(latency_s, 0), {q})
            FROM calls GROUP BY ALL
            UNION ALL
            SELECT 'trace', cell.e, cell.p, cell.m, cell.f, cell.n, cell.v, cell.t, cell.i,
                count(*), NULL, NULL, sum(tokens), NULL,
                quantile_cont(epoch(total), {q}), NULL,
                quantile_cont(tokens / nullif(epoch(total), 0), {q})
            FROM traces GROUP BY ALL
            """
        ).to_arrow_table()


def _home(path: Path) -> Deployment:
    settings = Settings().model_copy(
        update={
            "home": str(path),
            "database_url": f"sqlite:///{path}/llmops.db",
            "lake_url": str(path / "lake"),
        }
    )
    return Deployment(settings)


def land(home: Deployment, calls: int = CALLS) -> None:
    """The day: 2 observations a call (a root a trace of two calls), 3 % errors, 2 % votes."""
    for table, rows in _facts(calls):
        home.lake.replace_day(table, PROJECT, DAY, rows)


def _facts(calls: int) -> Iterator[tuple[str, pa.Table]]:
    generator = np.random.default_rng(11)
    traces = calls // 2
    trace = np.concatenate([np.arange(traces), np.repeat(np.arange(traces), 2)])
    is_root = np.arange(len(trace)) < traces
    n = len(trace)
    start = generator.uniform(0, 86_000, traces)[trace] + np.where(is_root, 0, 0.2)
    seconds = generator.lognormal(0.4, 0.7, n)
    failed = ~is_root & (generator.random(n) < 0.03)
    weights = 1 / np.arange(1, 41) ** 1.1
    tenant = generator.choice(40, traces, p=weights / weights.sum())[trace]
    feature = (np.arange(traces) % 6)[trace]
    model = np.where(is_root, -1, generator.choice(4, n, p=[0.5, 0.3, 0.15, 0.05]))
    tokens = generator.integers(5, 900, n)
    base = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1e6)
    instant = pa.timestamp("us", tz="UTC")
    begin = base + (start * 1e6).astype(np.int64)
    names = pa.array([f"{k:032x}" for k in range(traces)])
    ids = pa.array([f"{k:016x}" for k in range(n)])
    told = generator.integers(0, 9_999, n)
    message = [
        _MESSAGES[k % 4].format(n=k) if bad else ""
        for bad, k in zip(failed.tolist(), told.tolist(), strict=True)
    ]
    columns = {
        "trace_id": names.take(pa.array(trace)),
        "observation_id": ids,
        "parent_observation_id": pa.array(np.where(is_root, "", "root"), pa.string()),
        "type": pa.array(np.where(is_root, "SPAN", "GENERATION")),
        "name": pa.array(np.where(is_root, "request", "call")),
        "start_time": pa.array(begin, pa.int64()).cast(instant),
        "end_time": pa.array(begin + (seconds * 1e6).astype(np.int64), pa.int64()).cast(instant),
        "completion_start_time": pa.array(begin + 200_000, pa.int64()).cast(instant),
        "latency_s": pa.array(seconds),
        "time_to_first_token_s": pa.array(
            np.where(is_root, np.nan, seconds * 0.3), from_pandas=True
        ),
        "level": pa.array(np.where(failed, "ERROR", "DEFAULT")),
        "status_message": pa.array(message),
        "finish_reason": pa.array(np.where(is_root | failed, "", "stop")),
        "environment": pa.array(np.full(n, "production")),
        "session_id": pa.array([f"s{k // 3}" for k in trace.tolist()]),
        "is_root": pa.array(is_root),
        "feature": pa.array([f"feature-{k}" for k in feature.tolist()]),
        "tenant": pa.array([f"tenant-{k}" for k in tenant.tolist()]),
        "provider": pa.array(np.where(is_root, "", "openai")),
        "model": pa.array(["" if k < 0 else f"model-{k}" for k in model.tolist()]),
        "prompt_name": pa.array(
            [
                "" if r else f"prompt-{k}"
                for r, k in zip(is_root.tolist(), feature.tolist(), strict=True)
            ]
        ),
        "prompt_version": pa.array(np.where(is_root, np.nan, 1 + trace % 3), from_pandas=True).cast(
            pa.int32()
        ),
        "is_model_call": pa.array(~is_root),
        "is_evaluation": pa.array(np.zeros(n, bool)),
        "output_tokens": pa.array(np.where(is_root, 0, tokens)),
        "input_tokens": pa.array(np.where(is_root, 0, tokens * 4)),
    }
    target = schema.TABLES["observations"]
    yield (
        "observations",
        pa.table({field.name: columns.get(field.name, _blank(field, n)) for field in target}),
    )
    call = pa.array(~is_root)
    price = pa.array([f"{t * 1e-6:.12f}" for t in tokens[~is_root].tolist()]).cast(schema.USD)
    priced = {
        "trace_id": columns["trace_id"].filter(call),
        "observation_id": ids.filter(call),
        "cost_usd": price,
    }
    yield (
        "costs",
        pa.table({f.name: priced.get(f.name, _blank(f, calls)) for f in schema.TABLES["costs"]}),
    )
    rated = np.flatnonzero(generator.random(traces) < 0.02)
    votes = {
        "score_id": pa.array([f"v{k}" for k in rated.tolist()]),
        "name": pa.array(np.full(len(rated), "user_feedback")),
        "source": pa.array(np.full(len(rated), "API")),
        "data_type": pa.array(np.full(len(rated), "BOOLEAN")),
        "value": pa.array((generator.random(len(rated)) < 0.8).astype(float)),
        "subject_kind": pa.array(np.full(len(rated), "trace")),
        "trace_id": names.take(pa.array(rated)),
    }
    yield (
        "scores",
        pa.table(
            {f.name: votes.get(f.name, _blank(f, len(rated))) for f in schema.TABLES["scores"]}
        ),
    )


def _blank(field: pa.Field, n: int) -> pa.Array:
    if pa.types.is_string(field.type):
        return pa.repeat(pa.scalar(""), n)
    if pa.types.is_int64(field.type):
        return pa.repeat(pa.scalar(0), n)
    return pa.nulls(n, field.type)


if __name__ == "__main__":
    land(_home(Path(sys.argv[1])))
