"""`llmops demo`: a stand-in Langfuse with real-looking traffic, and the whole job over it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import date, timedelta
from pathlib import Path

import click

from llmops_jobs.cli.days import DAY


@click.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Where all goes.")
@click.option("--days", default=60, show_default=True, type=click.IntRange(1, 400))
@click.option("--seed", default=1, show_default=True, help="Same seed and end, same traffic.")
@click.option("--end", type=DAY, default="yesterday", show_default=True, help="Last day.")
@click.option("--serve", is_flag=True, help="Only keep the stand-in up; print its URL and keys.")
def command(home: Path | None, days: int, seed: int, end: date, serve: bool) -> None:
    """A stand-in Langfuse, DAYS days of traffic replayed from real measurements, and the whole
    nightly job over them; prints where the report is."""
    from llmops_jobs.demo.night import Demo, stand_in

    place = home or Path(os.environ.get("LLMOPS_HOME", ".llmops"))
    demo = Demo(home=str(place.resolve()), days=days, seed=seed, end=end.isoformat())
    demo.remember()
    # SIGTERM must unwind the stack, or the stand-in would outlive this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0 if serve else 143))
    with stand_in(demo) as environment:
        if serve:
            _serve(environment)
            return
        click.echo(f"stand-in Langfuse: {environment['LANGFUSE_BASE_URL']} ({days} days to {end})")
        os.environ.update(environment)
        _night(end - timedelta(days=days - 1), end, home)


def _serve(environment: dict[str, str]) -> None:
    for name, value in environment.items():
        click.echo(f"export {name}={value}")
    click.echo("(stop with Ctrl-C)", err=True)
    threading.Event().wait()


def _night(first: date, last: date, home: Path | None) -> None:
    from llmops_jobs.cli.run import run
    from llmops_jobs.config import load

    run(first, last, home=home.resolve() if home else None)
    reports = Path(load().reports_url)
    click.echo(f"report: {reports / 'latest.html'}")
    click.echo("next: `llmops up` shows the same in Dagster's UI")
