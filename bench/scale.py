"""What a day of N observations costs, stage by stage, in seconds of CPU per million.

`python -m bench scale` measures 10^5 rows a day; `LLMOPS_SCALE_ROWS=1000000` another size. One
synthetic day is landed as a pull lands it, with the texts of a sample, then the nightly job runs
over it from there to the report, in this process; the peak of memory is the process's so far.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

DAY = date(2026, 9, 1)
ROWS = int(os.environ.get("LLMOPS_SCALE_ROWS", "100000"))
_PIECE = 100_000
_MODELS: Final = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "o3-mini")
_TEXTS: Final = 2000  # of a day that evaluation reads, however many rows it has
_ANSWER: Final = "To reset your password, open Settings, choose Security, and follow the link. " * 4


def run() -> None:
    from llmops_jobs import progress
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.lake import schema
    from llmops_jobs.langfuse.project import keys_of
    from llmops_jobs.launch import materialize, open_instance

    with tempfile.TemporaryDirectory() as folder, _environment(folder):
        home = Deployment.from_environment()
        print(f"   {ROWS:,} observations in one day, peak memory in MiB behind each stage")
        _timed(
            "land observations",
            lambda: home.lake.replace_day(
                "observations", "p", DAY, _day(schema.TABLES["observations"])
            ),
        )
        home.lake.replace_day("observation_text", "p", DAY, _texts())
        keys = keys_of(home.settings.projects[0])
        home.database.upsert("project", _project(keys.fingerprint))
        began: dict[str, float] = {}
        ended, spent = [time.process_time()], list[float]()

        def hear(what: str, done: int, total: int) -> None:
            now = time.process_time()
            began.setdefault(what, now if done < total else ended[-1])
            if done == total:
                ended.append(now)
                spent.append(now - began[what])
                _tell(what, spent[-1])

        whole = time.process_time()
        with open_instance(Path(folder)) as instance, progress.listening(hear):
            outcome = materialize(DAY, DAY, instance=instance, job="rebuild")
        assert outcome.success, outcome.error
        whole = time.process_time() - whole
        _tell("checks, Dagster, imports", whole - sum(spent))
        _tell("whole run", whole)


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """A home of its own, and keys that are never used."""
    names = {
        "LLMOPS_HOME": folder,
        "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-bench",
        "LANGFUSE_SECRET_KEY": "unused",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _project(key: str) -> Any:
    import pandas as pd

    row = {"project_id": "p", "name": "default", "key_hash": key, "seen_at": datetime.now(UTC)}
    return pd.DataFrame([{**row, "base_url": "http://127.0.0.1:9"}])


def _timed(name: str, work: Callable[[], Any]) -> None:
    cpu = time.process_time()
    work()
    _tell(name, time.process_time() - cpu)


def _tell(name: str, cpu: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"   {name:<26} {cpu / ROWS * 1e6:7.2f} s CPU per million  ({cpu:7.2f} s) {peak:7.0f} MiB",
        flush=True,
    )


def _texts() -> pa.Table:
    """Of the first rows of the day: rows of evaluation's sample."""
    from llmops_jobs.lake import schema

    row = np.arange(min(ROWS, _TEXTS))
    values = {
        "trace_id": np.char.mod("%032x", row // 4),
        "observation_id": np.char.mod("%016x", row),
        "input": np.char.mod("How do I reset password number %d?", row),
        "output": np.full(len(row), _ANSWER),
        "metadata": np.full(len(row), "{}"),
        "inclusion_probability": np.full(len(row), len(row) / ROWS),
    }
    fields = [field for field in schema.TABLES["observation_text"] if field.name in values]
    assert len(fields) == len(values), fields
    return pa.table({field.name: pa.array(values[field.name], field.type) for field in fields})


def _day(fields: pa.Schema) -> Iterator[pa.Table]:
    """The day in pieces, as a pull lands it: four rows a trace, 20 models, 500 users."""
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp() * 1e6
    for first in range(0, ROWS, _PIECE):
        row = np.arange(first, min(first + _PIECE, ROWS))
        strings = {
            "trace_id": np.char.mod("%032x", row // 4),
            "observation_id": np.char.mod("%016x", row),
            "model": np.array(_MODELS)[row % len(_MODELS)],
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
