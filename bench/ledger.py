"""A day of a million model calls: pricing.

The rivals: reading the same columns and writing the same rows without computing anything; and
genai-prices' own `calc_price`, call by call. Seconds are CPU seconds of all threads, ratios are of
this run. The marts of money are in `bench.marts`, a year priced again is `bench.reprice`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable

import pyarrow as pa

from bench._day import CALLS, DAY, PROJECT, home_in, land
from llmops_jobs.deployment import Deployment
from llmops_jobs.ledger.book import load_book
from llmops_jobs.ledger.daily import price_day
from llmops_jobs.ledger.pricing import COLUMNS


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = home_in(folder)
        land(home, DAY, CALLS)
        rows = home.lake.read_day("observations", PROJECT, DAY, COLUMNS)
        calls = rows.filter(rows["is_model_call"])
        _call_by_call(calls.slice(0, 2000))
        whole, floor = _best(lambda: price_day(home, PROJECT, DAY)), _best(lambda: _copy(home))
        print(f"   pricing, lake to lake: {whole:.2f} s ({whole / floor:.2f} of copying)")
        computed = _best(lambda: load_book().price(calls))
        print(f"   pricing in memory: {CALLS / computed / 1e6:.2f} M calls/s")


def _best(work: Callable[[], object]) -> float:
    """CPU seconds, all threads together: what a loaded machine does not change much."""
    taken = []
    for _ in range(2):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def _call_by_call(rows: pa.Table) -> None:
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


def _copy(home: Deployment) -> None:
    """What pricing cannot do without: reading its columns, writing a day of costs."""
    home.lake.read_day("observations", PROJECT, DAY, COLUMNS)
    costs = home.lake.read_day("costs", PROJECT, DAY)
    # As pricing writes them: as a stream.
    home.lake.replace_day("costs", PROJECT, DAY, iter([costs]))
