"""A day of a million model calls: pricing, and the marts of money against one hand-written query.

The rivals: for the marts, one DuckDB query over the same files with the same sums, distinct counts
and top spenders; for pricing, reading the same columns and writing the same rows without computing
anything; and genai-prices' own `calc_price`, call by call. Seconds are CPU seconds of all threads,
ratios are of this run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.config import Settings
from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import schema
from llmops_jobs.ledger.book import load_book
from llmops_jobs.ledger.daily import aggregate_days, audit_days, price_day, price_days
from llmops_jobs.ledger.pricing import COLUMNS

PROJECT = "bench"
DAY = date(2026, 9, 1)
CALLS = 1_000_000
REPRICED_DAYS, REPRICED_CALLS = 20, 100_000
MODELS = (
    *(("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("openai", "gpt-5")),
    *(("anthropic", "claude-sonnet-4-5"), ("google", "gemini-2.5-pro"), ("", "house-model")),
)


def run() -> None:
    load_book().unit_price("openai", "gpt-4o", DAY, "input")  # the import is not what is measured
    with tempfile.TemporaryDirectory() as folder:
        home = _home(Path(folder))
        # In a process of its own, so that the memory told below is the ledger's.
        process = multiprocessing.get_context("spawn").Process(target=land, args=(folder,))
        process.start()
        process.join()
        call_by_call(home.lake.read_day("observations", PROJECT, DAY, COLUMNS).slice(0, 2000))
        whole, floor = best(lambda: price_day(home, PROJECT, DAY)), best(lambda: copy(home))
        print(f"   pricing, lake to lake: {whole:.2f} s ({whole / floor:.2f} of copying)")
        marts = best(lambda: list(aggregate_days(home, PROJECT, [DAY])))
        rival = best(lambda: hand_written(home))
        print(f"   marts: {marts:.2f} s ({marts / rival:.2f} of the query's {rival:.2f} s)")
        audit = best(lambda: list(audit_days(home, PROJECT, [DAY])), times=1)
        print(f"   audit: {audit:.2f} s ({audit / rival:.2f} of the query)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(f"   peak memory of all that {peak:.2f} GiB")
        calls = home.lake.read_day("observations", PROJECT, DAY, COLUMNS)
        computed = best(lambda: load_book().price(calls))
        print(f"   pricing in memory: {CALLS / computed / 1e6:.2f} M calls/s")
        reprice(home)


def best(work: Callable[[], object], times: int = 2) -> float:
    """CPU seconds, all threads together: what a loaded machine does not change."""
    taken = []
    for _ in range(times):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def land(folder: str) -> None:
    home = _home(Path(folder))
    home.lake.replace_day("observations", PROJECT, DAY, day_of(CALLS, DAY))
    days = [DAY + timedelta(days=1 + offset) for offset in range(REPRICED_DAYS)]
    for day in days:
        home.lake.replace_day("observations", PROJECT, day, day_of(REPRICED_CALLS, day))


def call_by_call(rows: pa.Table) -> None:
    from genai_prices import Usage, calc_price

    facts = [row for row in rows.to_pylist() if row["provider"]]
    started = time.process_time()
    for row in facts:
        calc_price(
            Usage(
                input_tokens=row["input_tokens"],
                cache_read_tokens=row["cache_read_tokens"],
                output_tokens=row["output_tokens"],
            ),
            row["model"],
            provider_id=row["provider"],
            genai_request_timestamp=row["start_time"],
        )
    rate = len(facts) / (time.process_time() - started)
    print(f"   genai-prices, call by call: {rate / 1e6:.3f} M calls/s")


def reprice(home: Deployment) -> None:
    """Days of ordinary size priced again, as after a change of the price file."""
    days = [DAY + timedelta(days=1 + offset) for offset in range(REPRICED_DAYS)]
    started = time.perf_counter()
    spent = time.process_time()
    for _ in price_days((home, PROJECT, day) for day in days):
        pass
    a_day = (time.perf_counter() - started) / len(days)
    cpu = (time.process_time() - spent) / len(days)
    print(
        f"   pricing again: {a_day * 1000:.0f} ms a day of {REPRICED_CALLS:,} calls "
        f"({cpu * 1000:.0f} ms of CPU);"
    )
    print(f"   a year of them would take {a_day * 365:.0f} s (measured on {len(days)} days)")


def copy(home: Deployment) -> None:
    """What pricing cannot do without: reading its columns, writing a day of costs."""
    home.lake.read_day("observations", PROJECT, DAY, COLUMNS)
    costs = home.lake.read_day("costs", PROJECT, DAY)
    home.lake.replace_day("costs", PROJECT, DAY, costs)


def hand_written(home: Deployment) -> None:
    import duckdb

    files = {name: home.lake.files(name, PROJECT, [DAY]) for name in ("observations", "costs")}
    cell = (
        "environment, provider, model, feature, prompt_name, prompt_version, tenant, "
        "is_evaluation, price_status"
    )
    tokens = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
    money = ("cost", "input", "cache_read", "cache_write", "output", "other")
    sums = ", ".join(
        [f"sum({name}_tokens)" for name in tokens]
        + [f"sum({name}_usd)" for name in money]
        + ["sum(reported_cost_usd)", "sum(input_audio_tokens + output_audio_tokens)"]
        + ["sum(input_image_tokens)"]
    )
    top = " UNION ALL ".join(
        f"""(SELECT {column}, count(*), sum(cost_usd) AS spent FROM calls
             WHERE {column} <> '' AND NOT is_evaluation
             GROUP BY 1 ORDER BY spent DESC, 1 LIMIT 20)"""
        for column in ("user_id", "tenant", "session_id", "trace_id")
    )
    calls = """calls AS (
        SELECT o.*, c.* EXCLUDE (trace_id, observation_id)
        FROM observations o JOIN costs c USING (trace_id, observation_id) WHERE is_model_call
    )"""
    with contextlib.closing(duckdb.connect()) as db:
        for name, found in files.items():
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({found})")
        db.execute(
            f"""WITH {calls} SELECT {cell}, count(*), count(*) FILTER (level = 'ERROR'),
                count(*) FILTER (issue <> ''), count(DISTINCT trace_id), {sums}
                FROM calls GROUP BY ALL"""
        ).fetchall()
        db.execute(
            f"""WITH {calls} SELECT issue, provider, model, price_status, count(*),
                sum(input_tokens), sum(output_tokens), sum(cost_usd)
                FROM calls WHERE issue <> '' GROUP BY ALL"""
        ).fetchall()
        db.execute(f"WITH {calls} {top}").fetchall()


def day_of(calls: int, day: date) -> pa.Table:
    """Calls with the shape of real traffic: a few models, dozens of features, many users."""
    rng = np.random.default_rng(day.toordinal())
    model = rng.choice(len(MODELS), calls, p=[0.25, 0.35, 0.1, 0.15, 0.1, 0.05])
    inputs = rng.lognormal(6.8, 1.1, calls).astype(np.int64)
    outputs = rng.lognormal(5.2, 0.9, calls).astype(np.int64)
    cached = np.where(rng.random(calls) < 0.4, (inputs * rng.random(calls)).astype(np.int64), 0)
    start = np.datetime64(datetime(day.year, day.month, day.day), "us")
    started = start + (rng.random(calls) * 86_400e6).astype("timedelta64[us]")
    failed = rng.random(calls) < 0.02
    zero = np.zeros(calls, np.int64)
    columns: dict[str, object] = {
        "trace_id": _ids("t", rng.integers(0, max(calls // 3, 1), calls)),
        "observation_id": _ids("o", np.arange(calls)),
        "start_time": pa.array(started, pa.timestamp("us", tz="UTC")),
        "level": _pick(failed.astype(int), ["DEFAULT", "ERROR"]),
        "environment": _pick(rng.integers(0, 3, calls), ["production", "staging", "dev"]),
        "provider": _pick(model, [provider for provider, _ in MODELS]),
        "model": _pick(model, [name for _, name in MODELS]),
        "request_model": _pick(model, [name for _, name in MODELS]),
        "feature": _pick(rng.integers(0, 20, calls), [f"feature-{n}" for n in range(20)]),
        "prompt_name": _pick(rng.integers(0, 2, calls), ["answer", ""]),
        "prompt_version": pa.array(rng.integers(1, 3, calls), pa.int32()),
        "tenant": _pick(rng.integers(0, 5, calls), ["acme", "globex", "initech", "umbrella", ""]),
        "user_id": _ids("u", rng.zipf(1.3, calls) % 50_000),
        "session_id": _ids("s", rng.integers(0, max(calls // 8, 1), calls)),
        "model_parameters": _pick(rng.integers(0, 2, calls), ["{}", '{"temperature":0.2}']),
        "is_model_call": pa.array(np.ones(calls, bool)),
        "is_evaluation": pa.array(rng.random(calls) < 0.03),
        **{
            name: pa.array(np.where(failed, 0, value))
            for name, value in (
                ("input_tokens", inputs),
                ("output_tokens", outputs),
                ("cache_read_tokens", cached),
            )
        },
        **dict.fromkeys(
            (
                *("cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens"),
                *("input_audio_tokens", "output_audio_tokens", "input_image_tokens"),
            ),
            pa.array(zero),
        ),
        "usage_details": _usage(inputs, outputs, cached),
        "cost_details": _pick(zero, ['{"total":0.001}']),
    }
    target = schema.OBSERVATIONS
    filled = {f.name: columns.get(f.name, _blank(f.type, calls)) for f in target}
    rows = pa.table(filled).select([f.name for f in target]).cast(target)
    # The source agrees, but for one call in ten that it never priced.
    ours = load_book().price(rows)["cost_usd"].combine_chunks()
    told = pc.if_else(pa.array(rng.random(calls) < 0.1), pa.scalar(None, schema.USD), ours)
    return rows.set_column(
        rows.schema.get_field_index("reported_cost_usd"), "reported_cost_usd", told
    )


def _usage(inputs: np.ndarray, outputs: np.ndarray, cached: np.ndarray) -> pa.Array:
    parts = [pa.array(each).cast(pa.string()) for each in (inputs - cached, outputs, cached)]
    texts = ['{"input":', ',"output":', ',"input_cached_tokens":', "}"]
    return pc.binary_join_element_wise(
        texts[0], parts[0], texts[1], parts[1], texts[2], parts[2], texts[3], ""
    )


def _ids(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "-")


def _pick(codes: np.ndarray, values: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values).cast(
        pa.string()
    )


def _blank(kind: pa.DataType, calls: int) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.repeat(pa.scalar(""), calls)
    return pa.nulls(calls, kind)


def _home(folder: Path) -> Deployment:
    settings = Settings(
        home=str(folder),
        database_url=f"sqlite:///{folder}/llmops.db",
        lake_url=str(folder / "lake"),
    )
    return Deployment(settings)
