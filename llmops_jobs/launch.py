"""Running the asset graph from the command line: the same job, the same instance, as the UI."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_jobs import alive, progress
from llmops_jobs.errors import UserError

if TYPE_CHECKING:
    import dagster as dg
    from rich.progress import TaskID

Say = Callable[[str], None]

# Of an instance in a home of its own; state lies beside it, in `llmops_jobs.event_log`'s storage.
_OWN_INSTANCE = """telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  runs: {max_concurrent_runs: 2}
  pools: {granularity: op, default_limit: 1}
run_monitoring: {enabled: true}
"""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the error is '' for success, else the cause in the user's terms."""

    run_id: str
    success: bool
    error: str
    seconds: float
    seconds_by_asset: dict[str, float]


def open_instance(home: Path | None = None) -> dg.DagsterInstance:
    """The Dagster instance: DAGSTER_HOME's, else the one of ./dagster.yaml, else one under home.

    An explicit `home` wins over ./dagster.yaml, so that a trial elsewhere leaves no trace here.
    """
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef
    from filelock import FileLock

    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    own = False
    if home is None and os.environ.get("DAGSTER_HOME"):
        folder = state = Path(os.environ["DAGSTER_HOME"]).expanduser().resolve()
    elif home is None and Path("dagster.yaml").exists():
        folder, state = Path.cwd(), Path.cwd() / ".dagster"
    else:
        folder = (home or Path(os.environ.get("LLMOPS_HOME", ".llmops"))).resolve() / "dagster"
        state, own = folder, True
    state.mkdir(parents=True, exist_ok=True)
    # Dagster stamps a new SQLite store without a lock: two first commands at once would stamp it
    # twice, and it could never be opened again.
    with FileLock(state / "instance.lock"):
        storage = _own_storage(folder) if own else {}
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=storage))


def _own_storage(folder: Path) -> dict[str, Any]:
    """The storage of an instance that names none. Not in its file, since a home may move."""
    import yaml

    file = folder / "dagster.yaml"
    if not file.exists():
        file.write_text(_OWN_INSTANCE, encoding="utf-8")
    if "storage" in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}):
        return {}
    kind = {"module": "llmops_jobs.event_log", "class": "BatchedSqliteStorage"}
    return {"storage": {"custom": {**kind, "config": {"base_dir": str(folder)}}}}


def materialize(
    first: date,
    last: date,
    *,
    instance: dg.DagsterInstance,
    select: str | None = None,
    job: str = "nightly",
) -> Outcome:
    """Materializes the job's assets for the days [first, last] in one run, in this process.

    `select` narrows the job to some assets (Dagster's selection syntax, comma-separated).
    Raises UserError for days without partition or an unknown selection.
    """
    import dagster as dg
    import sqlalchemy as sa

    from llmops_jobs.definitions import defs
    from llmops_jobs.partitions import DAILY
    from llmops_jobs.schedules import END_TAG, START_TAG

    if last < first:
        raise UserError(f"--to {last} is before --from {first}")
    for day in (first, last):
        if not DAILY.has_partition_key(day.isoformat()):
            raise UserError(
                f"{day} is not a day that can be run: days go from {DAILY.start:%Y-%m-%d} "
                "(LLMOPS_FIRST_DAY) to yesterday"
            )
    started = time.monotonic()
    definition = defs.resolve_job_def(job)
    keys = _selected(select) if select else None
    try:
        alive.bury_dead(instance)
        with alive.tagged(instance) as tag:
            result = definition.execute_in_process(
                instance=instance,
                asset_selection=keys,
                tags={START_TAG: first.isoformat(), END_TAG: last.isoformat(), **tag},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
    except (OSError, sa.exc.DBAPIError) as error:
        # Errors of an asset are in the result: this is Dagster's own record of the run.
        raise UserError(
            f"Dagster could not write its record of the run: {getattr(error, 'orig', error)}; "
            "when its storage is well again, run the days again"
        ) from error
    seconds = {
        event.step_key or "": event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS
    }
    return Outcome(
        run_id=result.run_id,
        success=result.success,
        error="" if result.success else _cause(result.all_events),
        seconds=time.monotonic() - started,
        seconds_by_asset=seconds,
    )


@contextmanager
def watched(say: Say, *, terminal: bool) -> Iterator[None]:
    """Shows progress while the block runs: bars on a terminal, a line per asset elsewhere."""
    if not terminal:
        with progress.listening(_Lines(say)):
            yield
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = ("  {task.description:<20}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        with progress.listening(show):
            yield


class _Lines:
    """A line for every asset that is done, with the time it took."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._started: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        started = self._started.setdefault(what, time.monotonic())
        if done == total:
            self._say(f"  {what:<20} {total:>4} days  {time.monotonic() - started:6.1f} s")


def _selected(select: str) -> list[dg.AssetKey]:
    import dagster as dg

    from llmops_jobs.definitions import defs

    graph = defs.resolve_asset_graph()
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    try:
        keys = dg.AssetSelection.from_coercible(select.split(",")).resolve(graph)
    except Exception as error:
        raise UserError(f"--select {select}: {error}; assets are {', '.join(sorted(names))}") from (
            None
        )
    if not keys:
        raise UserError(f"--select {select} names no asset; there are {', '.join(sorted(names))}")
    return sorted(keys)


def _cause(events: Sequence[dg.DagsterEvent]) -> str:
    """The first failed step and what was wrong, without the stack trace."""
    import dagster as dg

    for event in events:
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            text = error.message.strip() if error else "failed"
            # Dagster writes `package.Class: text`; the text is what the user can act on.
            return f"{event.step_key}: {text.split(': ', 1)[-1]}"
    for event in events:
        if event.event_type == dg.DagsterEventType.RUN_FAILURE:
            return event.message or "the run failed"
    return "the run failed"
