"""A day of a million model calls: all marts of this stage against one hand-written script.

Two rivals, DuckDB over the same Parquet files, that write nothing. `percentiles` computes the exact
percentiles, counts and sums of calls and traces by cell. `everything` computes by hand what the
marts hold beside them: histograms, intervals, errors, waste, votes, costs of outcomes. Neither
classifies a message, groups attempts or writes a row. Ratios are of this run.
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
        taken = nightly(home)
        percentiles = best(lambda: by_hand(home, PERCENTILES))
        print(f"   percentiles and sums by hand: {percentiles:.2f} CPU-s")
        everything = best(lambda: by_hand(home, EVERYTHING))
        print(f"   everything by hand: {everything:.2f} CPU-s")
        for name, (computed, written) in taken.items():
            print(f"   {name}: computed in {computed:.2f} CPU-s, written in {written:.2f}")
        computed = sum(each[0] for name, each in taken.items() if name != "outcomes")
        marts = sum(sum(each) for name, each in taken.items() if name != "outcomes")
        total = sum(sum(each) for each in taken.values())
        for name, seconds in (
            ("marts, computed", computed),
            ("marts, written", marts),
            ("with outcomes", total),
        ):
            print(
                f"   {name}: {seconds:.2f} CPU-s, {seconds / everything:.2f} of everything, "
                f"{seconds / percentiles:.2f} of percentiles and sums"
            )
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
        computed = min(best(compute), whole)
        taken[name] = (computed, whole - computed)
    return taken


def month(home: Deployment) -> None:
    """What a report reads of speed over thirty days like this one: percentiles by feature and by
    model, from the histograms of scopes; and of any slice, from those of cells."""
    from datetime import timedelta

    from llmops_jobs.signals import histogram, sketch

    last = DAY + timedelta(days=29)
    for table in ("latency_scope", "latency_sketch"):
        rows = home.database.table(table, PROJECT, DAY, DAY)
        for back in range(1, 30):
            home.database.replace_day(
                table, PROJECT, DAY + timedelta(days=back), rows.drop(columns="day")
            )
    started = time.process_time()
    rows = home.database.read(
        "SELECT scope, level, metric, gamma, counts FROM latency_scope "
        "WHERE (level = 'trace' AND (scope = 'total' OR scope LIKE 'feature=%')) "
        "OR (level = 'observation' AND (scope = 'total' OR scope LIKE 'model=%'))"
    )
    found = histogram.quantiles(sketch.unpacked(rows), by=["level", "scope", "metric"])
    print(f"   a month by scope: {len(found)} cells in {time.process_time() - started:.2f} CPU-s")
    started = time.process_time()
    rows = home.database.table(
        "latency_sketch", PROJECT, DAY, last, level="observation", metric="latency"
    )
    found = histogram.quantiles(sketch.unpacked(rows), by=["model", "tenant"])
    print(f"   a month by slice: {len(found)} cells in {time.process_time() - started:.2f} CPU-s")


CELL = "environment, provider, model, feature, prompt_name, prompt_version, tenant, is_evaluation"
_Q = "[0.5, 0.9, 0.95, 0.99]"
_GAMMA = 1.01 / 0.99
_METRICS = ("latency", "first", "speed")
_START = "epoch_us(start_time)"
# Calls and traces with their metrics. The cell of a trace by the number of the row that it is
# taken from, as the last member of what is compared: `arg_max` costs twice as much.
_METRIC = """latency_s AS latency, time_to_first_token_s AS first,
    output_tokens / nullif(latency_s, 0) AS speed"""
_TRACES = """
    CREATE TEMP TABLE cells AS SELECT row_number() OVER () AS cell, * FROM (
        SELECT DISTINCT environment, provider, model, feature, prompt_name,
            coalesce(prompt_version, -1) AS version, tenant, is_evaluation FROM observations);
    CREATE TEMP TABLE grouped AS SELECT trace_id,
        min({'r': NOT is_root, 's': start_time, 'c': cell}).c AS root,
        max({'g': level <> 'ERROR', 's': start_time, 'c': cell}) FILTER (is_model_call).c AS answer,
        epoch_us(max(end_time)) - epoch_us(min(start_time)) AS took, max(session_id) AS session_id,
        sum(output_tokens) FILTER (is_model_call) AS tokens,
        epoch_us(min(completion_start_time) FILTER (is_model_call)) - epoch_us(min(start_time))
            AS waited,
        count(*) FILTER (is_model_call AND level <> 'ERROR') AS ok
        FROM observations o JOIN cells c ON c.environment = o.environment
            AND c.provider = o.provider AND c.model = o.model AND c.feature = o.feature
            AND c.prompt_name = o.prompt_name AND c.version = coalesce(o.prompt_version, -1)
            AND c.tenant = o.tenant AND c.is_evaluation = o.is_evaluation
        GROUP BY 1;
    CREATE TEMP TABLE traces AS SELECT trace_id, root, answer, session_id, ok,
        took / 1e6 AS latency, waited / 1e6 AS first, tokens / nullif(took / 1e6, 0) AS speed
        FROM grouped;
"""
_CALLS = f"""
    CREATE TEMP TABLE calls AS SELECT o.trace_id, {CELL}, level, start_time, status_message,
        input_tokens, output_tokens, c.cost_usd, u.error_type, u.family_id, u.waste_reason,
        u.wasted_usd, u.attempts, u.attempt, u.is_final, {_METRIC}
    FROM observations o JOIN costs c USING (trace_id, observation_id)
    JOIN outcomes u USING (trace_id, observation_id) WHERE is_model_call;
"""
_SUMS = """count(*), sum(cost_usd), sum(input_tokens), sum(output_tokens),
    count(*) FILTER (level = 'ERROR')"""


def _exact(table: str, key: str, sums: str = "count(*)") -> str:
    columns = ", ".join(f"quantile_cont({m}, {_Q}), count({m})" for m in _METRICS)
    return f"SELECT {key}, {columns}, {sums} FROM {table} GROUP BY ALL"


def _intervals(table: str, key: str) -> str:
    """The order statistics around each percentile, by the normal approximation of their ranks."""
    lists = ", ".join(f"list_sort(list({m})) AS l_{m}" for m in _METRICS)
    ends = ", ".join(
        f"l_{m}[greatest(1, floor(len(l_{m}) * {q} {sign} 1.96 * "
        f"sqrt(len(l_{m}) * {q} * (1 - {q})))::int)]"
        for m in _METRICS
        for q in (0.5, 0.9, 0.95, 0.99)
        for sign in "-+"
    )
    return (
        f"SELECT * EXCLUDE (l_latency, l_first, l_speed), {ends} FROM (SELECT {key}, {lists} "
        f"FROM {table} GROUP BY ALL)"
    )


def _buckets(table: str, key: str, metric: str) -> str:
    return (
        f"SELECT {key}, ceil(ln({metric}) / ln({_GAMMA}))::int AS bucket, count(*) "
        f"FROM {table} WHERE {metric} > 0 GROUP BY ALL"
    )


_LEVELS = (("calls", CELL), ("traces", "root, answer"))
_PRICED = f"""(SELECT *, {_METRIC} FROM observations JOIN costs USING (trace_id, observation_id)
    WHERE is_model_call)"""
PERCENTILES = [_TRACES, _exact(_PRICED, CELL, _SUMS), _exact(*_LEVELS[1])]
EVERYTHING = [
    _TRACES,
    _CALLS,
    _exact(*_LEVELS[0], _SUMS),
    _exact(*_LEVELS[1]),
    *(_intervals(*level) for level in _LEVELS),
    *(_buckets(*level, metric) for level in _LEVELS for metric in _METRICS),
    f"""SELECT {CELL}, error_type, family_id, count(*), sum(wasted_usd),
        count(*) FILTER (attempt = 1), count(*) FILTER (attempts > 1 AND is_final)
        FROM calls GROUP BY ALL""",
    f"SELECT {CELL}, waste_reason, count(*), sum(wasted_usd) FROM calls GROUP BY ALL",
    """SELECT provider, hour(start_time), count(*), count(*) FILTER (error_type <> ''),
        count(*) FILTER (error_type = 'rate_limit') FROM calls GROUP BY ALL""",
    """SELECT family_id, arg_min(trace_id, start_time), arg_min(status_message, start_time)
        FROM calls WHERE family_id <> '' GROUP BY ALL""",
    """SELECT root, answer, name, count(*), sum(value), count(DISTINCT trace_id)
        FROM scores JOIN traces USING (trace_id) GROUP BY ALL""",
    """SELECT count(*), sum(ln(latency)), sum(ln(latency) ** 2), sum(ok), sum(ok * ok)
        FROM traces""",
    """WITH spent AS (SELECT trace_id, sum(cost_usd) AS cost FROM costs GROUP BY 1),
        rated AS (SELECT trace_id, 1 AS vote FROM scores WHERE value = 1 GROUP BY 1)
        SELECT root, answer, count(*), sum(cost), sum(cost * cost), sum(ok), sum(ok * ok),
        sum(ok * cost), count(vote), sum(cost) FILTER (vote = 1)
        FROM traces JOIN spent USING (trace_id) LEFT JOIN rated USING (trace_id) GROUP BY ALL""",
    """WITH spent AS (SELECT trace_id, sum(cost_usd) AS cost FROM costs GROUP BY 1)
        SELECT root, answer, session_id, sum(cost) FROM traces JOIN spent USING (trace_id)
        GROUP BY ALL""",
]


def by_hand(home: Deployment, queries: list[str]) -> None:
    import duckdb

    with contextlib.closing(duckdb.connect()) as db:
        for name in ("observations", "costs", "outcomes", "scores"):
            found = home.lake.files(name, PROJECT, [DAY])
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({found})")
        for query in queries:
            if "CREATE" in query:
                db.execute(query)
            else:
                db.sql(query).to_arrow_table()


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
