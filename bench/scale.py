"""What a day of N observations costs the lake and the heavy marts, in seconds of CPU per million.

`python -m bench scale` measures 10^5 rows a day; `LLMOPS_SCALE_ROWS=1000000` another size.
Each stage runs in this process; the peak of memory is the process's so far.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

DAY = date(2026, 9, 1)
ROWS = int(os.environ.get("LLMOPS_SCALE_ROWS", "100000"))
_PIECE = 100_000


def run() -> None:
    from llmops_jobs.lake import Lake, schema
    from llmops_jobs.lake.engine import DuckDB
    from llmops_jobs.langfuse.checks import held
    from llmops_jobs.ledger.marts import spend_by_subject, usage_by_dimension

    with tempfile.TemporaryDirectory() as folder:
        lake, engine = Lake(folder), DuckDB()
        print(f"   {ROWS:,} observations in one day, peak memory in MiB behind each stage")
        for table in ("observations", "costs"):
            fields = schema.TABLES[table]
            _timed(
                f"land {table}",
                lambda t=table, f=fields: lake.replace_day(  # type: ignore[misc]
                    t, "p", DAY, _day(f)
                ),
            )
        definitions: list[Callable[..., Any]] = [held, usage_by_dimension, spend_by_subject]
        for definition in definitions:
            name = definition.__name__
            _timed(name, lambda d=definition: engine.run(d, lake, "p", [DAY]))  # type: ignore[misc]


def _timed(name: str, work: Callable[[], Any]) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"   {name:<22} {cpu / ROWS * 1e6:7.2f} s CPU per million  "
        f"({cpu:.2f} s CPU, {wall:.2f} s) {peak:7.0f} MiB"
    )


def _day(fields: pa.Schema) -> Iterator[pa.Table]:
    """The day in pieces, as a pull lands it: four rows a trace, 20 models, 500 users."""
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp() * 1e6
    for first in range(0, ROWS, _PIECE):
        row = np.arange(first, min(first + _PIECE, ROWS))
        strings = {
            "trace_id": np.char.mod("%032x", row // 4),
            "observation_id": np.char.mod("%016x", row),
            "model": np.char.mod("model-%d", row % 20),
            "user_id": np.char.mod("user-%d", row // 4 % 500),
            "feature": np.char.mod("feature-%d", row // 4 % 12),
        }
        columns = {}
        for field in fields:
            kind = field.type
            if field.name in strings:
                columns[field.name] = pa.array(strings[field.name], kind)
            elif pa.types.is_string(kind):
                columns[field.name] = pa.array(np.full(len(row), field.name[:4]), kind)
            elif pa.types.is_timestamp(kind):
                columns[field.name] = pa.array((start + row % 86_400 * 1e6).astype("i8")).cast(kind)
            elif pa.types.is_boolean(kind):
                columns[field.name] = pa.array(np.full(len(row), field.name == "is_model_call"))
            elif pa.types.is_list(kind):
                columns[field.name] = pa.array([[]] * len(row), kind)
            elif field.name not in ("project_id", "day"):
                columns[field.name] = pa.array((row % 1000).astype("i4")).cast(kind)
        yield pa.table(columns)
