"""Pulls the plug on the nightly job and on backfills, and looks whether a re-run makes up for it.

`python -m bench.kills --kills 200` runs three days undisturbed for what is right (two as a
backfill, then a night over the last two), then kills `llmops run` with SIGKILL at random instants,
runs it to its end, and compares every mart, lake table and report (`bench.faults.differences`).
Rounds take turns: a backfill into nothing, a night after the days before it, and the range again
where the round before ended.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

import click

from bench.faults import differences, ended, site
from bench.warm import Process

DAYS: Final = 3
_ONE: Final = timedelta(days=1)


def kills(folder: Path, count: int, seed: int = 1, per_round: int = 10) -> tuple[int, list[str]]:
    """Kills `count` times, in rounds: each round's kills fall on one deployment, which is then run
    to its end and compared. Gives the kills that hit and the differences found."""
    dice, hits, rounds, found = random.Random(seed), 0, 0, []
    with site(folder, days=DAYS, requests=30) as right:
        whole, night = (right.first, right.last), (right.last - _ONE, right.last)
        before, disturbed = right.again(folder / "before"), right.again(folder / "disturbed")
        before.finish(right.first, right.last - _ONE)
        shutil.copytree(before.home, right.home)
        seconds = right.finish(*night)
        while hits < count:
            scenario = ("backfill", "night", "again")[rounds % 3]
            rounds += 1
            if scenario != "again":
                shutil.rmtree(disturbed.home, ignore_errors=True)
            if scenario == "night":
                shutil.copytree(before.home, disturbed.home)
            days = night if scenario == "night" else whole
            target = min(hits + per_round, count)
            while hits < target:
                started = time.monotonic()
                if kill(disturbed.fork(*days), dice.uniform(0.0, seconds), disturbed.home):
                    hits += 1
                else:  # a machine that has become quicker: later instants would hit nothing
                    seconds = time.monotonic() - started
            disturbed.finish(*days)
            wrong = differences(right, disturbed)
            found += [f"round {rounds}, {scenario}: {line}" for line in wrong]
            print(f"{hits:>4} kills, {scenario:<9}{len(found)} differences", flush=True)
    return hits, found


def kill(process: Process, after: float, home: Path) -> bool:
    """Kills after some seconds; False when it had come to its end before."""
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    ended(process, home)
    return False


@click.command()
@click.option("--kills", "count", default=200, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="kept; a temporary one when absent")
def main(count: int, seed: int, home: Path | None) -> None:
    """Exit 1 when anything differs from an undisturbed run."""
    folder = home or Path(tempfile.mkdtemp(prefix="llmops-kills-"))
    try:
        hits, found = kills(folder, count, seed)
    finally:
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
    for line in found:
        print(line)
    print(f"{hits} kills: {len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
