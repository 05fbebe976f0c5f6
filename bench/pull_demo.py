"""Days of the demo pulled from the stand-in in a process of its own: whose CPU bounds it.

Linux only: the stand-in's CPU is read from /proc.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

END = date(2026, 11, 20)
DAYS = int(os.environ.get("LLMOPS_BENCH_DAYS", "6"))


def run() -> None:
    from llmops_jobs.demo import night

    with tempfile.TemporaryDirectory() as folder:
        demo = night.Demo(home=folder, days=DAYS + 1, seed=1, end=END.isoformat())
        with night.stand_in(demo, port=0) as environment:
            server = next(pid for pid in children(os.getpid()) if b"demo.server" in command(pid))
            pulling = multiprocessing.get_context("spawn").Process(
                target=pull, args=(environment, server)
            )
            pulling.start()
            pulling.join()


def pull(environment: dict[str, str], server: int) -> None:
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.langfuse.pull import pull_observations

    os.environ.update(environment)
    deployment = Deployment.from_environment()
    (project,) = deployment.projects()
    wanted = [END - timedelta(days=back) for back in range(DAYS, -1, -1)]
    list(pull_observations(deployment, project, wanted[:1]))  # both have loaded what they need
    before, theirs, started = time.process_time(), cpu(server), time.perf_counter()
    rows = sum(done.rows for done in pull_observations(deployment, project, wanted[1:]))
    wall = time.perf_counter() - started
    spent, theirs = time.process_time() - before, cpu(server) - theirs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"   {rows:,} rows of {DAYS} days in {wall:.1f} s, peak {peak:.0f} MiB here")
    print(f"   CPU a day: {spent / DAYS:.2f} s here, {theirs / DAYS:.2f} s in the stand-in")
    print(f"   the stand-in's share of both is {theirs / (spent + theirs):.2f}")


def cpu(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(parent: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[1]) == parent]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []  # it has ended


if __name__ == "__main__":
    run()
