"""Deployments to be disturbed, and whether two of them hold the same.

A small replay is served on loopback, and any number of homes read it. `differences` compares every
mart, every lake table and every report of two of them value by value, and leaves out only the
columns of `RUN_COLUMNS`: when and by which run a row was written. `bench.kills`, `bench.damage` and
`bench.spread` do the disturbing.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Protocol

from bench import warm

ROOT: Final = Path(__file__).resolve().parent.parent
LAST_DAY: Final = date(2026, 10, 31)

#: Columns that say when, or in which run, a row was written: two runs differ in them by nature.
RUN_COLUMNS: Final[Mapping[str, frozenset[str]]] = {
    "heartbeat": frozenset({"beat_at"}),
    "incident": frozenset({"opened_at", "acknowledged_at", "resolved_at", "notified_at"}),
    "notification": frozenset({"created_at", "due_at", "leased_until", "sent_at"}),
    "project": frozenset({"seen_at"}),
    "pull": frozenset({"seconds", "first_pulled_at", "pulled_at"}),
    "quality_model": frozenset({"trained_at"}),
    "reconciliation": frozenset({"checked_at"}),
    # The page says when its day was copied; `pages` compares the rest of it.
    "report": frozenset({"written_at", "sha256"}),
    "sweep": frozenset({"swept_at"}),
}


@dataclass
class Site:
    """A deployment to be disturbed: its home, and the environment of its processes."""

    home: Path
    environment: dict[str, str]
    first: date
    last: date
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def again(self, home: Path) -> Site:
        """The same source and configuration, with stores of its own."""
        return Site(home, {**self.environment, "LLMOPS_HOME": str(home)}, self.first, self.last)

    def start(
        self,
        first: date | None = None,
        last: date | None = None,
        *,
        options: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
    ) -> subprocess.Popen[str]:
        """`llmops run` as a process, in a folder of its own; its output goes to home/run.log."""
        self.home.mkdir(parents=True, exist_ok=True)
        days = ["--from", str(first or self.first), "--to", str(last or self.last)]
        command = ["-W", "ignore", "-m", "llmops_jobs", "run", *days, *options]
        with (self.home / "run.log").open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [*wrapper, sys.executable, *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.home,
                env={**self.process_environment(), **(env or {})},
                preexec_fn=preexec_fn,
            )

    def process_environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LANGFUSE", "LLMOPS"))}
        return {**clean, "PYTHONPATH": str(ROOT), **self.environment}

    def fork(self, first: date | None = None, last: date | None = None) -> warm.Process:
        """The same as a process that has imported everything already."""
        days = ["--from", str(first or self.first), "--to", str(last or self.last)]
        return warm.Process(["run", *days], self.environment, self.home)

    def finish(self, first: date | None = None, last: date | None = None) -> float:
        """Runs to the end; the seconds that it took. Raises RuntimeError with the log's end."""
        started = time.monotonic()
        ended(self.fork(first, last), self.home)
        return time.monotonic() - started


class Running(Protocol):
    """A process: one of `subprocess`, or of `bench.warm`."""

    def wait(self, timeout: float | None = None) -> int: ...


def ended(process: Running, home: Path, seconds: float = 600) -> None:
    """Waits for its end. Raises RuntimeError with the log's end when that was not a good one."""
    if (code := process.wait(timeout=seconds)) != 0:
        log = (home / "run.log").read_text(encoding="utf-8")[-3000:]
        raise RuntimeError(f"llmops run exited {code}:\n{log}")


@contextmanager
def site(folder: Path, days: int = 2, requests: int = 60, **server_options: Any) -> Iterator[Site]:
    """A small replay on loopback in a thread, and an empty deployment that reads it."""
    from llmops_jobs.demo.replay import Replay
    from llmops_jobs.demo.server import running

    replay = Replay(seed=3, days=days, end=LAST_DAY, requests_per_day=requests)
    folder.mkdir(parents=True, exist_ok=True)
    config = replay.write_config(folder)
    with running(replay, **server_options) as server:
        home = folder / "undisturbed"
        found = {
            **server.environment,
            "LLMOPS_HOME": str(home),
            "LLMOPS_CONFIG": str(config),
        }
        yield Site(home, found, LAST_DAY - timedelta(days=days - 1), LAST_DAY)


def marts(place: Site) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of the database: its rows in order, without the columns of `RUN_COLUMNS`."""
    import sqlalchemy as sa

    from llmops_jobs.store import Database
    from llmops_jobs.store.tables import METADATA

    default = f"sqlite:///{place.home}/llmops.db"
    database = Database(place.environment.get("LLMOPS_DATABASE_URL", default))
    held = {}
    try:
        for table in METADATA.sorted_tables:
            left_out = RUN_COLUMNS.get(table.name, frozenset())
            columns = [column for column in table.c if column.name not in left_out]
            with database.engine.connect() as connection:
                rows = connection.execute(sa.select(*columns)).fetchall()
            held[table.name] = sorted(map(tuple, rows), key=_order)
    finally:
        database.engine.dispose()
    return held


def _order(row: tuple[Any, ...]) -> tuple[str, str]:
    """By what is equal to the last digit, then by numbers that may not be."""
    return repr([value for value in row if not isinstance(value, float)]), repr(row)


def facts(place: Site) -> dict[str, list[tuple[str]]]:
    """Every table of the lake: its rows in order, as text."""
    from llmops_jobs.lake import Lake, schema

    lake = Lake(place.environment.get("LLMOPS_LAKE_URL", str(place.home / "lake")))
    held = {}
    for table in schema.TABLES:
        rows: list[tuple[str]] = []
        for project in sorted({project for project, _ in lake.listing(table)}):
            found = lake.read_days(table, project, lake.days(table, project))
            rows += [(repr(row),) for row in found.to_pylist()]
        held[table] = sorted(rows)
    return held


def pages(place: Site) -> dict[str, list[tuple[Any, ...]]]:
    """Every report's JSON face, without the instant of the copy, value by value; the HTML is drawn
    from it."""
    folder = place.home / "reports"
    held = {}
    for path in sorted(folder.rglob("*.json")):
        page = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(page, dict):
            page.get("provenance", {}).pop("copied_at", None)
        held[str(path.relative_to(folder))] = list(_leaves(page))
    return held


def _leaves(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name in sorted(node):
            yield from _leaves(node[name], f"{place}.{name}")
    elif isinstance(node, list):
        yield place, len(node)
        for number, each in enumerate(node):
            yield from _leaves(each, f"{place}[{number}]")
    else:
        yield place, node


def differences(right: Site, other: Site, tolerance: float = 0.0) -> list[str]:
    """What differs between two deployments, a line a table; empty when nothing does.

    Floats too are equal to the last digit; but two databases, or two engines, add the same numbers
    in an order of their own: a relative `tolerance`, 1e-9 for two databases.
    """
    found = []
    urls = [place.environment.get("LLMOPS_DATABASE_URL", "sqlite") for place in (right, other)]
    if len({url.split(":")[0] for url in urls}) > 1:
        tolerance = max(tolerance, 1e-9)
    readers: list[Callable[[Site], Mapping[str, list[Any]]]] = [marts, facts, pages]
    for read in readers:
        expected, actual = read(right), read(other)
        for table in sorted({*expected, *actual}):
            rows, here = expected.get(table, []), actual.get(table, [])
            pairs = zip_longest(rows, here, fillvalue=())
            wrong = [pair for pair in pairs if not _same(*pair, tolerance)]
            if wrong:
                missing, instead = ([pair[side] for pair in wrong[:2]] for side in (0, 1))
                found.append(
                    f"{table}: {len(rows)} rows undisturbed, {len(here)} here; "
                    f"missing {str(missing)[:1000]}, instead {str(instead)[:1000]}"
                )
    return found


def _same(row: tuple[Any, ...], other: tuple[Any, ...], tolerance: float) -> bool:
    if row == other or not tolerance:
        return row == other
    return len(row) == len(other) and all(
        math.isclose(one, two, rel_tol=tolerance)
        if isinstance(one, float) and isinstance(two, float)
        else one == two
        for one, two in zip(row, other, strict=True)
    )
