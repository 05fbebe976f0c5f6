"""A day of a million model calls: all daily marts against one script by hand, and their memory.

The night's steps run in their order, each once, written to SQLite, in a process of their own that
has run them for a small day before; the rivals of `bench._by_hand` likewise in theirs, each script
once. Of three such processes the best counts. Seconds are CPU seconds of all threads; ratios
are of this run. Peak memory is that of processes that do nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

from bench import _by_hand
from bench._day import CALLS, DAY, PROJECT, home_in, land
from llmops_jobs.deployment import Deployment

_SMALL: Final = DAY - timedelta(days=40)  # no day of a late vote, and no day before
#: Lake rows, which are what marts are made of.
_ROWS: Final = ("costs", "outcomes")
_LEDGER: Final = ("usage_daily", "cost_audit", "spend_change")
_SIGNALS: Final = ("latency_daily", "error_daily", "feedback_daily", "unit_cost_daily")
_ROUNDS: Final = 3
_RIVALS: Final = ("percentiles_and_sums", "everything")
_NIGHTS: Final = {
    "ledger": ("costs", *_LEDGER),
    "signals": ("outcomes", *_SIGNALS),
    "both": ("costs", "outcomes", *_LEDGER, *_SIGNALS),
}


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.get_context("spawn").Process(target=_landed, args=(folder,))
        process.start()
        process.join()
        nights = [_night(folder, "both") for _ in range(2)]
        best = min(nights, key=lambda night: sum(night["seconds"].values()))
        rivals = [min(_night(folder, name)["seconds"][name] for _ in range(2)) for name in _RIVALS]
        _tell(best["seconds"], *rivals)
        for kind in ("ledger", "signals"):
            print(f"   peak memory of the {kind}: {_night(folder, kind)['peak']:.2f} GiB")
        print(f"   peak memory of both in one process: {best['peak']:.2f} GiB")


def _tell(seconds: dict[str, float], least: float, all_of_it: float) -> None:
    for name, taken in seconds.items():
        print(f"   {name}: {taken:.2f} CPU-s")
    print(f"   by hand: everything {all_of_it:.2f} CPU-s, percentiles and sums {least:.2f}")
    marts = sum(taken for name, taken in seconds.items() if name not in _ROWS)
    for name, taken in (("all marts", marts), ("with outcomes", marts + seconds["outcomes"])):
        print(
            f"   {name}: {taken:.2f} CPU-s, {taken / all_of_it:.2f} of everything by hand, "
            f"{taken / least:.2f} of percentiles and sums alone"
        )


def _landed(folder: str) -> None:
    home = home_in(folder)
    land(home, _SMALL, 2_000)
    land(home, DAY, CALLS)


def _night(folder: str, kind: str) -> dict[str, Any]:
    """CPU seconds of each step and the peak of memory in GiB, of a process of its own."""
    command = [sys.executable, "-m", "bench.marts", folder, kind]
    told: dict[str, Any] = json.loads(subprocess.check_output(command))
    return told


def _steps() -> dict[str, Callable[[Deployment, str, list[date]], object]]:
    from llmops_jobs.ledger import daily
    from llmops_jobs.signals import nightly

    def told(step: Any) -> Callable[[Deployment, str, list[date]], object]:
        return lambda home, project, days: list(step(home, project, days))

    return {
        **{name: getattr(_by_hand, name) for name in _RIVALS},
        "costs": lambda home, project, days: daily.price_day(home, project, days[0]),
        "outcomes": told(nightly.write_outcomes),
        "usage_daily": told(daily.aggregate_days),
        "cost_audit": told(daily.audit_days),
        "spend_change": told(daily.explain_days),
        "latency_daily": told(nightly.write_latency),
        "error_daily": told(nightly.write_errors),
        "feedback_daily": told(nightly.write_feedback),
        "unit_cost_daily": told(nightly.write_unit_cost),
    }


def _run_steps(folder: str, kind: str) -> dict[str, Any]:
    home, steps = home_in(folder), _steps()
    names = _NIGHTS.get(kind, (kind,))
    for name in names:
        steps[name](home, PROJECT, [_SMALL])
    seconds = {}
    for name in names:
        started = time.process_time()
        steps[name](home, PROJECT, [DAY])
        seconds[name] = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"seconds": seconds, "peak": peak}


if __name__ == "__main__":
    print(json.dumps(_run_steps(sys.argv[1], sys.argv[2])))
