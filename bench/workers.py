"""The evaluation stage by one run worker and by two, on one Postgres: the ratio of their times.

The days' texts are copied once; then the assets of the stage are run again, as one run over the
range and as two runs, each a process, over its halves. LLMOPS_BENCH_DAYS (default 12) days of
LLMOPS_BENCH_REQUESTS (default 400) requests, of which 400 texts a day are scored.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import yaml

from bench import faults

_STAGE = "score"
_FEED = "+score"  # what it needs, and itself


def run() -> None:
    from tests.postgres import available, server

    if (reason := available()) is not None:
        print(f"   left out: {reason}")
        return
    days = int(os.environ.get("LLMOPS_BENCH_DAYS", "12"))
    requests = int(os.environ.get("LLMOPS_BENCH_REQUESTS", "400"))
    with (
        tempfile.TemporaryDirectory() as folder,
        server() as running,
        faults.site(Path(folder), days=days, requests=requests) as place,
    ):
        place.environment["LLMOPS_DATABASE_URL"] = running.url("postgres")
        config = Path(place.environment["LLMOPS_CONFIG"])
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        content["ingest"] = {**content.get("ingest", {}), "texts_per_day": 400}
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        faults.ended(place.start(options=["--select", _FEED]), place.home)
        middle = place.first + timedelta(days=days // 2)
        one = _timed(place, [(place.first, place.last)])
        two = _timed(place, [(place.first, middle - timedelta(days=1)), (middle, place.last)])
    print(f"   {days} days, {requests} requests a day")
    for what, index in (("the stage", 0), ("with the processes' start", 1)):
        ratio = two[index] / one[index]
        print(f"   {what:<28} one {one[index]:6.1f} s, two {two[index]:6.1f} s: {ratio:.2f}")


def _timed(place: faults.Site, ranges: list[tuple[date, date]]) -> tuple[float, float]:
    """Seconds of the slowest worker in the stage, and until all processes had ended."""
    started = time.monotonic()
    workers = [
        place.again(place.home.with_name(f"{place.home.name}-{number}"))
        for number in range(len(ranges))
    ]
    processes: list[subprocess.Popen[str]] = []
    for worker, (first, last) in zip(workers, ranges, strict=True):
        worker.environment["LLMOPS_LAKE_URL"] = str(place.home / "lake")
        worker.home.mkdir(parents=True, exist_ok=True)
        (worker.home / "run.log").unlink(missing_ok=True)
        processes.append(worker.start(first, last, options=["--select", _STAGE]))
    for worker, process in zip(workers, processes, strict=True):
        faults.ended(process, worker.home)
    whole = time.monotonic() - started
    said = [(worker.home / "run.log").read_text(encoding="utf-8") for worker in workers]
    found = [re.search(rf"^  {_STAGE} .* ([0-9.]+) s$", text, flags=re.M) for text in said]
    return max(float(match[1]) for match in found if match), whole
