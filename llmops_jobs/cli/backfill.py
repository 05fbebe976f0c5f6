"""`llmops backfill`: a range of days, spread over the workers of a running Dagster."""

from __future__ import annotations

from datetime import date

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="First day, included.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included.")
@click.option(
    "--days-per-run",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    help="How many days a worker takes at once.",
)
@click.option(
    "--ui", default="http://127.0.0.1:3000", show_default=True, help="Dagster's web server."
)
def command(first: date, last: date, days_per_run: int, ui: str) -> None:
    """Run the days [--from, --to] in pieces, through the queue of a Dagster that is up.

    The marts are those of `llmops run` over the same days. How many pieces run at once is the
    instance's `max_concurrent_runs`, and its `run_launcher` says where.
    """
    from llmops_jobs.config import load
    from llmops_jobs.spread import backfill

    if last < first:
        raise UserError(f"--to {last} is before --from {first}")
    seconds = backfill(
        first, last, days_per_run=days_per_run, ui=ui, settings=load().evals, say=click.echo
    )
    for stage, took in seconds.items():
        click.echo(f"  {stage:<10} {took:6.1f} s")
