"""`llmops label`: the calls whose label would tell most, into a Langfuse annotation queue."""

from __future__ import annotations

from datetime import date

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError


@click.command()
@click.option("--queue", required=True, help="Annotation queue in Langfuse: its name or id.")
@click.option("--day", type=DAY, default="yesterday", show_default=True, help="Calls of this day.")
@click.option("--count", "n", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--metric", default="correct", show_default=True, help="What people will judge.")
@click.option("--project", help="Only this configured project, by its name.")
@click.option("--dry-run", is_flag=True, help="Show the picks, write nothing.")
def command(queue: str, day: date, n: int, metric: str, project: str | None, dry_run: bool) -> None:
    """Draw the most informative calls of a day and put them before people.

    Each pick's probability is recorded, so that the labels estimate the quality of all calls and
    not only of the picked ones. Running it again adds other calls.
    """
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.evals.picking import choose_picks, put_before_people
    from llmops_jobs.langfuse.annotation import find_queue
    from llmops_jobs.langfuse.client import Client

    deployment = Deployment.from_environment()
    chosen = [keys for keys in deployment.projects() if project in (None, keys.name)]
    if not chosen:
        names = ", ".join(each.name for each in deployment.settings.projects)
        raise UserError(f"no project is called {project}; configured: {names}")
    for keys in chosen:
        with Client(keys) as client:
            queue_id, name = find_queue(client, queue)
            picks = choose_picks(
                deployment.lake,
                deployment.database,
                keys.id,
                day,
                metric,
                n,
                deployment.settings.evals,
            )
            if picks.empty:
                raise UserError(
                    f"{keys.name}: {day} has no call left to label; its text must have been read "
                    "(`llmops run`), and what is labelled or picked is not picked again"
                )
            for pick in picks.itertuples():
                link = f"{keys.base_url}/project/{keys.id}/traces/{pick.trace_id}"
                click.echo(
                    f"{link}?observation={pick.observation_id}  "
                    f"chance to pass {pick.chance_to_pass:.0%}"
                )
            if dry_run:
                click.echo(f"{len(picks)} picks of {day}; nothing written")
                continue
            written = put_before_people(client, deployment.database, picks, queue_id)
            click.echo(f"{written} of {len(picks)} picks of {day} written to the queue {name}")
