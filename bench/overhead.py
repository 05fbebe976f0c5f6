"""Dagster's own share of a run: the asset graph with its bodies emptied, a night and a year.

The twins have the names, edges, partitions and checks of the real assets and attach as much
metadata a day; nothing else happens in them. LLMOPS_BENCH_DAYS (default 365) sets the range.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

END = date(2026, 10, 31)
_METADATA = {"dagster/row_count": 1200, **{f"figure {i}": i / 7 for i in range(5)}}
_STOCK = "storage: {sqlite: {base_dir: BASE}}\ntelemetry: {enabled: false}\n"


def run() -> None:
    job = _emptied().resolve_job_def("nightly")
    days = int(os.environ.get("LLMOPS_BENCH_DAYS", "365"))
    stock, batched = _seconds(job, 30, stock=True), _seconds(job, 30)
    print(f"   {'30 days':<28}{batched[0]:6.1f} s wall {batched[1]:6.1f} s CPU")
    print(
        f"   {'... with the stock storage':<28}{stock[0]:6.1f} s wall {stock[1]:6.1f} s CPU"
        f"   ({stock[1] / batched[1]:.1f} x)"
    )
    for many, what in ((4, "a night (4 days)"), (days, f"{days} days in one run")):
        wall, cpu = _seconds(job, many)
        print(f"   {what:<28}{wall:6.1f} s wall {cpu:6.1f} s CPU")


def _emptied() -> dg.Definitions:
    from llmops_jobs.definitions import defs

    graph = defs.resolve_asset_graph()
    return dg.Definitions(
        assets=[_twin(graph.get(key)) for key in graph.get_all_asset_keys()],
        asset_checks=[_check(key) for key in graph.asset_check_keys],
        jobs=[dg.define_asset_job("nightly", selection="*")],
        executor=dg.in_process_executor,
    )


def _twin(node: Any) -> dg.AssetsDefinition:
    @dg.asset(
        name=node.key.path[-1],
        deps=sorted(node.parent_keys),
        group_name=node.group_name,
        partitions_def=node.partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def body(context) -> None:  # type: ignore[no-untyped-def]
        for key in context.partition_keys:
            context.add_asset_metadata(_METADATA, partition_key=key)

    return body


def _check(key: dg.AssetCheckKey) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key.asset_key, name=key.name)
    def passes():  # type: ignore[no-untyped-def]
        return dg.AssetCheckResult(passed=True)

    return passes


def _seconds(job: dg.JobDefinition, days: int, *, stock: bool = False) -> tuple[float, float]:
    """Wall and CPU seconds of a run over `days` days on a new instance."""
    from llmops_jobs.launch import open_instance
    from llmops_jobs.schedules import END_TAG, START_TAG

    first = END - timedelta(days=days - 1)
    with tempfile.TemporaryDirectory() as folder:
        if stock:
            (Path(folder) / "dagster").mkdir()
            text = _STOCK.replace("BASE", f"{folder}/dagster")
            (Path(folder) / "dagster" / "dagster.yaml").write_text(text, encoding="utf-8")
        with open_instance(Path(folder)) as instance:
            wall, cpu = time.perf_counter(), time.process_time()
            result = job.execute_in_process(
                instance=instance,
                tags={START_TAG: first.isoformat(), END_TAG: END.isoformat()},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            assert result.success
            return time.perf_counter() - wall, time.process_time() - cpu
