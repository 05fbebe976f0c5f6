"""Which runs of this machine's commands are alive, and an end to those that are not.

A killed command leaves its run as started, and its place in a pool taken: Dagster's daemon would
find runs of its own, but not this one, and the next command would wait for ever.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

_TAG = "llmops/alive"


@contextmanager
def tagged(instance: dg.DagsterInstance) -> Iterator[dict[str, str]]:
    """A lock that ends with this process however it ends, and the tag by which a run names it."""
    from filelock import FileLock

    lock = _locks(instance) / f"{uuid.uuid4().hex}.lock"
    with FileLock(lock):
        yield {_TAG: lock.name}
    lock.unlink(missing_ok=True)


def bury_dead(instance: dg.DagsterInstance) -> list[str]:
    """Fails the runs whose process is gone and frees what they held; their ids."""
    import dagster as dg
    from filelock import FileLock, Timeout

    going = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=going)):
        lock = _locks(instance) / Path(run.tags.get(_TAG, "")).name
        if not lock.is_file():
            continue  # the daemon's, or another machine's
        try:
            with FileLock(lock, timeout=0):
                instance.report_run_failed(run, "The process of this run is gone.")
                instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        except Timeout:
            continue  # it lives
        lock.unlink(missing_ok=True)
        dead.append(run.run_id)
    return dead


def _locks(instance: dg.DagsterInstance) -> Path:
    folder = Path(instance.storage_directory()) / "alive"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
