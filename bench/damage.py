"""Faults other than a kill: each is followed by a re-run that must give the undisturbed tables.

`python -m bench.damage` runs all that this machine can (some need root, faketime or Postgres, and
say so when they are left out); names as arguments choose among them. A small replay is served on
loopback; every fault starts from a copy of the deployment that an undisturbed run left, or anew.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from bench.faults import Site, differences, ended, site


class UnavailableError(Exception):
    """This machine cannot make the fault; the message says what is missing."""


def file_size_limit(right: Site, place: Site) -> None:
    """Every file of more than 400 kB is cut off, as by a quota."""
    size = 400_000
    _must_fail(place, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))


def disk_full(right: Site, place: Site) -> None:
    """The home is a file system of 3 MB, which the run fills; then it is made larger."""
    place.home.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place.home)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        raise UnavailableError("a file system of its own can be mounted by root alone")
    try:
        _must_fail(place)
        subprocess.run(["mount", "-o", "remount,size=200m", place.home], check=True)
        place.finish()
        shutil.copytree(place.home, place.home.with_name("kept"))
    finally:
        subprocess.run(["umount", "-l", place.home], check=True)
    place.home.rmdir()
    place.home.with_name("kept").rename(place.home)


def read_only_lake(right: Site, place: Site) -> None:
    """The lake's folders may not be written for a run; root gives up its right to write anyway."""
    place.finish(place.first, place.first)
    folders = [path for path in (place.home / "lake").rglob("*") if path.is_dir()]
    wrapper = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        raise UnavailableError("root needs setpriv to be refused")
    for folder in folders:
        folder.chmod(0o555)
    try:
        _must_fail(place, wrapper=wrapper if os.getuid() == 0 else [])
    finally:
        for folder in folders:
            folder.chmod(0o755)


def corrupted_files(right: Site, place: Site) -> None:
    """One file of each lake table has other bytes in its middle, another is cut short."""
    shutil.copytree(right.home, place.home)
    for table in _tables(place):
        files = sorted(table.rglob("*.parquet"))
        content = bytearray(files[0].read_bytes())
        middle = len(content) // 2
        content[middle : middle + 64] = os.urandom(64)
        content[-200:-100] = os.urandom(100)  # the footer, where the file says what it holds
        files[0].write_bytes(content)
        files[-1].write_bytes(files[-1].read_bytes()[:1000])


def lost_files(right: Site, place: Site) -> None:
    """Half of the lake's files are gone, and the log still names them."""
    shutil.copytree(right.home, place.home)
    for table in _tables(place):
        for file in sorted(table.rglob("*.parquet"))[::2]:
            file.unlink()


def lost_tables(right: Site, place: Site) -> None:
    """Of the lake's tables, one has lost its log, two are gone, and the others stay."""
    shutil.copytree(right.home, place.home)
    for lost in ("observations/_delta_log", "scores", "costs"):
        shutil.rmtree(place.home / "lake" / lost)


def lost_marts(right: Site, place: Site) -> None:
    """The database is gone; lake and reports are there."""
    shutil.copytree(right.home, place.home)
    for file in place.home.glob("llmops.db*"):
        file.unlink()


def clock_steps(right: Site, place: Site) -> None:
    """The clock steps back six hours and forward two in the middle of runs."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if library is None:
        raise UnavailableError("libfaketime is not installed (Debian: faketime)")
    place.home.mkdir(parents=True)
    clock = place.home / "clock"
    faked = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    for step in ("-6h", "+2h"):
        clock.write_text("+0", encoding="utf-8")
        process = place.start(env=faked)
        time.sleep(4)
        clock.write_text(step, encoding="utf-8")
        ended(process, place.home)


def upgrade_in_between(right: Site, place: Site) -> None:
    """A run is going on while the schema is upgraded; another is cut off, and the database taken
    back to nothing and up again."""
    process = place.start()
    time.sleep(4)
    _migrate(place, "upgrade")
    ended(process, place.home)
    process = place.start()
    time.sleep(5)
    process.kill()
    process.wait()
    _migrate(place, "downgrade", "base")
    _migrate(place, "upgrade")


def overlapping_backfills(right: Site, place: Site) -> None:
    """Two overlapping ranges and the whole, all at the same time."""
    middle = place.first + timedelta(days=(place.last - place.first).days // 2)
    processes = [
        place.start(place.first, middle),
        place.start(middle, place.last),
        place.start(),
    ]
    for process in processes:
        ended(process, place.home)


def postgres_restarts(right: Site, place: Site) -> None:
    """The database server of the marts is stopped hard and started again, twice, during runs."""
    from tests.postgres import available, server

    if (reason := available()) is not None:
        raise UnavailableError(reason)
    with server() as running:
        place.environment["LLMOPS_DATABASE_URL"] = running.url("postgres")
        for wait in (4.0, 7.0):
            process = place.start()
            time.sleep(wait)
            running.restart()
            process.wait(timeout=300)  # whether it failed depends on the instant
        place.finish()
        _expect_nothing(differences(right, place))
        del place.environment["LLMOPS_DATABASE_URL"]
        shutil.rmtree(place.home)


FAULTS: Final[dict[str, Callable[[Site, Site], None]]] = {
    each.__name__: each
    for each in (
        file_size_limit,
        disk_full,
        read_only_lake,
        corrupted_files,
        lost_files,
        lost_tables,
        lost_marts,
        clock_steps,
        upgrade_in_between,
        overlapping_backfills,
        postgres_restarts,
    )
}


@dataclass(frozen=True)
class Result:
    fault: str
    differences: list[str]
    left_out: str  # why it could not be made here; '' when it was
    seconds: float


@contextmanager
def undisturbed(folder: Path, days: int = 2, requests: int = 40) -> Iterator[Site]:
    """A deployment that has run once, and its source."""
    with site(folder, days=days, requests=requests) as place:
        place.finish()
        yield place


def suffer(right: Site, fault: str) -> Result:
    """The fault on a deployment of its own, a re-run, and what then differs from `right`."""
    started = time.monotonic()
    place = right.again(right.home.with_name(fault))
    try:
        FAULTS[fault](right, place)
        place.finish()
        found, left_out = differences(right, place), ""
    except UnavailableError as error:
        found, left_out = [], str(error)
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        found, left_out = [f"{type(error).__name__}: {error}"], ""
    shutil.rmtree(place.home, ignore_errors=True)
    return Result(fault, found, left_out, time.monotonic() - started)


def _must_fail(place: Site, **options: Any) -> None:
    """A run that the fault stops: with exit code 1 and a line that says why, not a stack trace."""
    process = place.start(**options)
    code = process.wait(timeout=300)
    said = (place.home / "run.log").read_text(encoding="utf-8")
    if code != 1 or "Traceback" in said or "llmops: " not in said:
        raise AssertionError(f"exit {code}, and it said:\n{said[-3000:]}")


def _expect_nothing(found: list[str]) -> None:
    if found:
        raise AssertionError("\n".join(found))


def _migrate(place: Site, *arguments: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "llmops_jobs.store.migrate", *arguments]
    subprocess.run(command, check=True, env=place.process_environment(), cwd=place.home)


def _tables(place: Site) -> list[Path]:
    return sorted(path.parent for path in (place.home / "lake").glob("*/_delta_log"))


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(FAULTS)))
def main(names: tuple[str, ...]) -> None:
    """Exit 1 when anything differs from an undisturbed run."""
    bad = 0
    with (
        tempfile.TemporaryDirectory(prefix="llmops-damage-") as folder,
        undisturbed(Path(folder)) as right,
    ):
        for name in names or tuple(FAULTS):
            done = suffer(right, name)
            said = done.left_out or f"{len(done.differences)} differences"
            print(f"{name:<24}{done.seconds:6.1f} s  {said}", flush=True)
            for line in done.differences:
                print(f"    {line[:1500]}")
            bad += len(done.differences)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
