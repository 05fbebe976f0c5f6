"""Sixty replayed days through the whole job: which marked events are told of, and what else is.

`python -m bench.alert_days 23` replays seed 23 with its events, `--quiet` one without any; takes
two minutes and a half. `--home DIR` keeps what the job made.
"""

from __future__ import annotations

import os
import tempfile
from datetime import date, timedelta
from pathlib import Path

import click

END = date(2026, 11, 23)
DAYS = 60


@click.command()
@click.argument("seed", type=int)
@click.option("--quiet", is_flag=True, help="without the marked events")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path))
def main(seed: int, quiet: bool, home: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _tell(seed, quiet, home or Path(folder))


def _tell(seed: int, quiet: bool, home: Path) -> None:
    from llmops_jobs.cli import main as llmops
    from llmops_jobs.demo.night import Demo, stand_in
    from llmops_jobs.launch import materialize, open_instance

    first = END - timedelta(days=DAYS - 1)
    demo = Demo(home=str(home), days=DAYS, seed=seed, end=END.isoformat(), quiet=quiet)
    with stand_in(demo, port=0) as environment:
        os.environ.update(environment)
        with open_instance(home) as instance:
            outcome = materialize(first, END, instance=instance)
        assert outcome.success, outcome.error
        asked = ["alerts", "replay", "--from", str(first), "--to", str(END)]
        llmops([*asked, "--events", str(home / "events.json")])


if __name__ == "__main__":
    main()
