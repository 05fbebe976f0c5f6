"""A month of a million calls a day: percentiles from stored histograms.

What a report reads, every percentile by feature and by model with its interval, from the histograms
of scopes; and any slice of two dimensions, from those of cells. Seconds are CPU seconds. What the
day's marts cost beside the same by hand is `bench.marts`.
"""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from typing import Final

from bench._day import CALLS, DAY, PROJECT, home_in, land
from llmops_jobs.deployment import Deployment

_DAYS: Final = 30


def run() -> None:
    from llmops_jobs.signals import histogram, nightly, sketch

    with tempfile.TemporaryDirectory() as folder:
        home = home_in(folder)
        land(home, DAY, CALLS)
        list(nightly.write_latency(home, PROJECT, [DAY]))
        _repeat(home)
        last = DAY + timedelta(days=_DAYS - 1)
        started = time.process_time()
        rows = home.database.read(
            "SELECT scope, level, metric, gamma, counts FROM latency_scope "
            "WHERE (level = 'trace' AND (scope = 'total' OR scope LIKE 'feature=%')) "
            "OR (level = 'observation' AND (scope = 'total' OR scope LIKE 'model=%'))"
        )
        by = ["level", "scope", "metric"]
        found = histogram.quantiles(sketch.added_up(rows, by), by=by)
        seconds = time.process_time() - started
        print(f"   by scope: {len(found)} cells in {seconds:.2f} CPU-s")
        started = time.process_time()
        by = ["model", "tenant"]
        slices = sketch.read(
            home.database, PROJECT, DAY, last, by, level="observation", metric="latency"
        )
        found = histogram.quantiles(slices, by=by)
        seconds = time.process_time() - started
        print(f"   by model and tenant: {len(found)} cells in {seconds:.2f} CPU-s")


def _repeat(home: Deployment) -> None:
    """The day's histograms on every day of the month."""
    for table in ("latency_scope", "latency_sketch"):
        rows = home.database.table(table, PROJECT, DAY, DAY).drop(columns="day")
        print(f"   {table}: {len(rows):,} histograms a day")
        for after in range(1, _DAYS):
            home.database.replace_day(table, PROJECT, DAY + timedelta(days=after), rows)
