"""`llmops run`: materializes the asset graph for a range of days."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="First day, included.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included.")
@click.option("--project", help="Only this configured project, by its name.")
@click.option("--select", help="Only these assets, such as costs,usage_daily or 'costs*'.")
def command(first: date, last: date, project: str | None, select: str | None) -> None:
    """Run the nightly job for the days [--from, --to], in one run of the same graph as the UI's."""
    run(first, last, project=project, select=select)


def run(
    first: date,
    last: date,
    *,
    project: str | None = None,
    select: str | None = None,
    home: Path | None = None,
) -> None:
    """Runs, says how it went, and raises UserError when it did not end well."""
    from llmops_jobs.config import load, only_project
    from llmops_jobs.langfuse.project import keys_of
    from llmops_jobs.launch import materialize, open_instance, watched

    settings = load()
    if project is not None:
        only_project(project)
        settings = load()
    for configured in settings.projects:
        keys_of(configured)  # missing keys are told before anything starts
    days = (last - first).days + 1
    click.echo(f"nightly: {first} to {last} ({days} day{'s' if days != 1 else ''})")
    with open_instance(home) as instance, watched(click.echo, terminal=sys.stdout.isatty()):
        outcome = materialize(first, last, instance=instance, select=select)
    if not outcome.success:
        raise UserError(f"run {outcome.run_id} failed at {outcome.error}")
    click.echo(f"done in {outcome.seconds:.0f} s (run {outcome.run_id})")
