"""The nightly evaluation of a large day, without a judge: wall, CPU and the peak of all processes.

`python -m bench evals_night`: 100,000 calls of 2 KB (LLMOPS_EVALS_CALLS for another number) after
28 days of as many, through `llmops run` as the nightly job does it: scores by rules, by small
models and by a quality model, the rates with people's labels, and drift. Then the quality model's
weekly training by itself, on the labels of those days.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd

from bench._evals_home import DAY, KEYS, PROJECT, make_home, score_before, teach
from llmops_jobs.deployment import Deployment
from tests.conftest import SHARED

CALLS = int(os.environ.get("LLMOPS_EVALS_CALLS", "100000"))
_DAYS = 29
_ASSETS = ("score", "quality_daily", "drift")


def run() -> None:
    source = SHARED / "data/halueval_general/general.parquet"
    if not source.exists():
        print("evals: the labelled data is not there; nothing measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | KEYS | {"LLMOPS_HOME": folder, "LLMOPS_FIRST_DAY": "2026-06-01"}
        os.environ.update(environ)
        rows = pd.read_parquet(source)
        home = make_home(rows, CALLS, _DAYS)
        teach(home, rows)
        score_before(home, CALLS)
        measure(folder, environ)
        _learn(home)


def _learn(home: Deployment) -> None:
    """What the quality model's weekly training takes beside a night."""
    from llmops_jobs.evals.model.fit import concatenated, train
    from llmops_jobs.evals.model.weekly import ExampleStore

    started, before = time.perf_counter(), time.process_time()
    days = [DAY - timedelta(days=back) for back in range(_DAYS - 6)]
    store = ExampleStore(home.lake, home.database)
    found = [each["correct"] for each in store.of(PROJECT, days, home.settings.evals) if each]
    trained = train(concatenated(found))
    print(
        f"   learning from {sum(len(each.passed) for each in found):,} labels and votes of "
        f"{len(found)} such days: {time.perf_counter() - started:.0f} s wall, "
        f"{time.process_time() - before:.0f} s CPU ({trained.status})"
    )


def measure(folder: str, environ: dict[str, str]) -> None:
    """The night of DAY in a home that is made."""
    command = [sys.executable, "-m", "llmops_jobs", "run", "--select", ",".join(_ASSETS)]
    command += ["--from", DAY.isoformat(), "--to", DAY.isoformat()]
    started, before = time.perf_counter(), os.times()
    process = subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, text=True)
    peak = _Peak(process.pid)
    said, _ = process.communicate()
    peak.stop()
    wall, after = time.perf_counter() - started, os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    assert process.returncode == 0, said
    print(
        f"   {CALLS:,} calls: {wall:.0f} s wall, {cpu:.0f} s CPU, {CALLS / cpu:,.0f} calls a "
        f"second of one core, peak {peak.mib:,.0f} MiB in {peak.processes} processes"
    )
    for line in said.splitlines():
        if line.strip().startswith(_ASSETS):
            print(f"   {line.strip()}")
    _tell_rows(folder)


def _tell_rows(folder: str) -> None:
    from llmops_jobs.store import Database

    database = Database(f"sqlite:///{folder}/llmops.db")
    statuses = database.read("SELECT status, COUNT(*) AS n FROM score GROUP BY status")
    counts = ", ".join(f"{n:,} {status}" for status, n in statuses.itertuples(index=False))
    rates = database.read("SELECT method, COUNT(*) AS n FROM quality_window GROUP BY method")
    print(f"   rows: {counts}; windows: {dict(rates.itertuples(index=False))}")


class _Peak:
    """The largest sum of the proportional set sizes of a process and its children."""

    def __init__(self, pid: int) -> None:
        self.mib, self.processes, self._pid, self._over = 0.0, 0, pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            sizes = [_pss(pid) for pid in _family(self._pid)]
            if sum(sizes) > self.mib:
                self.mib, self.processes = sum(sizes), len(sizes)


def _family(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(child))]


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    run()
