"""Percentiles of real traffic, against numpy over the same published traces."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from llmops_jobs.lake import schema
from llmops_jobs.signals import histogram, nightly
from tests.facts import DAY, PROJECT, START, facts
from tests.signals.world import deployment

# Seconds that a call takes, from what the traces have: lengths. Prefill and decoding speeds.
PREFILL, DECODE = 8_000.0, 55.0


def azure(shared: Callable[[str], Path]) -> pd.DataFrame:
    frame = pd.read_csv(shared("data/azure_llm_2023/conv.csv.gz"))
    return pd.DataFrame({"input": frame["ContextTokens"], "output": frame["GeneratedTokens"]})


def mooncake(shared: Callable[[str], Path]) -> pd.DataFrame:
    frame = pd.read_parquet(shared("data/mooncake/conversation_trace.parquet"))
    return pd.DataFrame({"input": frame["input_length"], "output": frame["output_length"]})


@pytest.mark.parametrize("source", [azure, mooncake])
def test_percentiles_of_real_lengths_are_numpys(
    source: Callable[..., pd.DataFrame], shared: Callable[[str], Path], tmp_path: Path
) -> None:
    lengths = source(shared)
    n = len(lengths)
    first = lengths["input"].to_numpy() / PREFILL
    seconds = first + lengths["output"].to_numpy() / DECODE
    home = deployment(tmp_path)
    # A tenant a thousand calls, so that there are cells to merge.
    tenant = pa.array([f"tenant-{k // 1000}" for k in range(n)])
    template = facts("observations", [{"is_root": True}])
    rows = pa.table(
        {
            field.name: pa.repeat(template[field.name][0], n)
            for field in schema.TABLES["observations"]
        }
    )
    for name, values in {
        "trace_id": pa.array([f"t{k}" for k in range(n)]),
        "observation_id": pa.array([f"o{k}" for k in range(n)]),
        "tenant": tenant,
        "latency_s": pa.array(seconds),
        "time_to_first_token_s": pa.array(first),
        "output_tokens": pa.array(lengths["output"].to_numpy(np.int64)),
        "end_time": pa.array(
            [START + timedelta(seconds=s) for s in seconds], pa.timestamp("us", tz="UTC")
        ),
    }.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    home.lake.replace_day("observations", PROJECT, DAY, rows)
    list(nightly.write_latency(home, PROJECT, [DAY]))

    daily = home.database.table("latency_daily", level="observation")
    buckets = home.database.table("latency_histogram", level="observation")
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = lengths["output"].to_numpy() / seconds
    truth = {
        "latency": seconds,
        "time_to_first_token": first,
        "tokens_per_second": speed[lengths["output"].to_numpy() > 0],
    }
    for metric, values in truth.items():
        mine = daily[daily["metric"] == metric]
        counts = buckets[buckets["metric"] == metric]
        assert mine["n"].sum() == counts["n"].sum() == len(values)
        for q in (0.5, 0.9, 0.95, 0.99):
            merged = histogram.quantile(counts, q)
            assert merged == pytest.approx(np.quantile(values, q), rel=0.01)
        if metric == "latency":
            for row in mine.itertuples():
                cell = values[(np.array(tenant.to_pylist()) == row.tenant)]
                assert row.p99 == pytest.approx(np.quantile(cell, 0.99), rel=1e-9)
                assert row.p50_low <= np.quantile(cell, 0.5) <= row.p50_high
