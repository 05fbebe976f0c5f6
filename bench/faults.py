"""Pulls the plug on the nightly job and looks whether a re-run makes up for it.

`python -m bench.faults --kills 200` serves a small replay on loopback, runs the job undisturbed
for what is right, then kills `llmops run` with SIGKILL at random instants, runs it to its end, and
compares every mart and every lake table value by value. What it compares leaves out only the
columns of `RUN_COLUMNS`: when and by which run a row was written.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

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

    def finish(self, first: date | None = None, last: date | None = None) -> float:
        """Runs to the end; the seconds that it took. Raises RuntimeError with the log's end."""
        started = time.monotonic()
        ended(self.start(first, last), self.home)
        return time.monotonic() - started


def ended(process: subprocess.Popen[str], home: Path, seconds: float = 600) -> None:
    if process.wait(timeout=seconds) != 0:
        log = (home / "run.log").read_text(encoding="utf-8")[-3000:]
        raise RuntimeError(f"llmops run exited {process.returncode}:\n{log}")


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


def kill_at_random(place: Site, dice: random.Random, seconds: float) -> bool:
    """Starts the job, kills it at an instant of the next `seconds`; False: it had ended before."""
    process = place.start()
    try:
        process.wait(timeout=dice.uniform(0.0, seconds))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    ended(process, place.home)
    return False


def marts(place: Site, digits: int = 17) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of the database: its rows in order, without the columns of `RUN_COLUMNS`.

    Seventeen digits are all of a float: two databases need fewer, since each adds the same numbers
    in an order of its own.
    """
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
            held[table.name] = sorted(
                (tuple(_rounded(value, digits) for value in row) for row in rows), key=repr
            )
    finally:
        database.engine.dispose()
    return held


def _rounded(value: Any, digits: int) -> Any:
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def facts(place: Site) -> dict[str, list[str]]:
    """Every table of the lake: its rows in order, as text."""
    from llmops_jobs.lake import Lake, schema

    lake = Lake(place.environment.get("LLMOPS_LAKE_URL", str(place.home / "lake")))
    held = {}
    for table in schema.TABLES:
        rows: list[str] = []
        for project in sorted({project for project, _ in lake.listing(table)}):
            found = lake.read_days(table, project, lake.days(table, project))
            rows += [repr(row) for row in found.to_pylist()]
        held[table] = sorted(rows)
    return held


def pages(place: Site, digits: int = 17) -> dict[str, list[str]]:
    """Every report's JSON face, without the instant of the copy; the HTML is drawn from it."""
    folder = place.home / "reports"
    held = {}
    for path in sorted(folder.rglob("*.json")):
        page = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(page, dict):
            page.get("provenance", {}).pop("copied_at", None)
        text = json.dumps(page, sort_keys=True)
        exact = json.loads(text, parse_float=lambda number: _rounded(float(number), digits))
        held[str(path.relative_to(folder))] = [json.dumps(exact)]
    return held


def differences(right: Site, other: Site) -> list[str]:
    """What differs between two deployments, a line a table; empty when nothing does."""
    found = []
    urls = [place.environment.get("LLMOPS_DATABASE_URL", "sqlite") for place in (right, other)]
    same = len({url.split(":")[0] for url in urls}) == 1
    readers: list[Callable[[Site], Mapping[str, list[Any]]]] = [
        partial(marts, digits=17 if same else 9),
        facts,
        partial(pages, digits=17 if same else 9),
    ]
    for read in readers:
        expected, actual = read(right), read(other)
        for table in sorted({*expected, *actual}):
            rows, here = expected.get(table, []), actual.get(table, [])
            if rows != here:
                missing = [row for row in rows if row not in here]
                extra = [row for row in here if row not in rows]
                found.append(
                    f"{table}: {len(rows)} rows undisturbed, {len(here)} here; "
                    f"missing {str(missing[:2])[:1000]}, instead {str(extra[:2])[:1000]}"
                )
    return found


def kills(folder: Path, count: int, seed: int = 1, per_round: int = 5) -> tuple[int, list[str]]:
    """Kills `count` times, in rounds: each round's kills fall on one deployment, which is then run
    to its end and compared. Odd rounds begin with nothing, even ones where the last one ended.
    Gives the kills that hit and the differences found."""
    dice, hits, found = random.Random(seed), 0, []
    with site(folder) as undisturbed:
        seconds = undisturbed.finish()
        disturbed = undisturbed.again(folder / "disturbed")
        rounds = 0
        while hits < count:
            rounds += 1
            if rounds % 2 == 1:
                shutil.rmtree(disturbed.home, ignore_errors=True)
            for _ in range(min(per_round, count - hits)):
                hits += kill_at_random(disturbed, dice, seconds)
            disturbed.finish()
            found += [f"round {rounds}: {line}" for line in differences(undisturbed, disturbed)]
            print(f"{hits} kills, {len(found)} differences", flush=True)
    return hits, found


def side_by_side(folder: Path, days: int = 3) -> list[str]:
    """Two processes over overlapping ranges at the same time; the differences found."""
    with site(folder, days=days) as undisturbed:
        undisturbed.finish()
        shared = undisturbed.again(folder / "shared")
        first, last = undisturbed.first, undisturbed.last
        pair = [
            shared.start(first, last - timedelta(days=1)),
            shared.start(first + timedelta(days=1), last),
        ]
        for process in pair:
            ended(process, shared.home)
        shared.finish()  # as the next night does: what saw half of the range is computed again
        return differences(undisturbed, shared)


@click.command()
@click.option("--kills", "count", default=200, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="kept; a temporary one when absent")
def main(count: int, seed: int, home: Path | None) -> None:
    """Exit 1 when anything differs from an undisturbed run."""
    folder = home or Path(tempfile.mkdtemp(prefix="llmops-faults-"))
    try:
        hits, found = kills(folder / "kills", count, seed)
        found += [f"side by side: {line}" for line in side_by_side(folder / "pair")]
    finally:
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
    for line in found:
        print(line)
    print(f"{hits} kills, two ranges side by side: {len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
