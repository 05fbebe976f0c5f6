"""`llmops replay`: what is needed to run a past request again."""

from __future__ import annotations

import json
from datetime import date

import click

from llmops_jobs.cli.days import DAY


@click.command()
@click.argument("trace")
@click.option("--day", type=DAY, help="Its UTC day; without it the lake is searched.")
@click.option(
    "--content",
    is_flag=True,
    help="With input, output and the prompt's text (report.include_text only).",
)
def command(trace: str, day: date | None, content: bool) -> None:
    """Print prompt version, model, parameters and tools of the calls of TRACE, as JSON.

    With the labels that the prompt's version carried that night. Text is shown only with --content,
    and only where the configuration allows it; the prompt's own text is read from Langfuse.
    """
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.errors import UserError
    from llmops_jobs.versions.reproduce import calls_of, with_labels, with_templates

    home = Deployment.from_environment()
    if content and not home.settings.report.include_text:
        raise UserError("text of users stays in the store: set report.include_text to show it")
    for project in _projects(home.database.table("project")):
        try:
            calls = calls_of(home.lake, project, trace, day, content=content)
        except UserError as error:
            missing = error
            continue
        with_labels(home.database, project, calls)
        if content:
            with_templates(home, project, calls)
        # ASCII escapes keep control characters of hostile text off the terminal.
        click.echo(json.dumps({"project": project, "trace": trace, "calls": calls}, indent=1))
        return
    raise missing


def _projects(known: object) -> list[str]:
    from llmops_jobs.errors import UserError

    ids = list(known["project_id"]) if len(known) else []  # type: ignore[index,arg-type]
    if not ids:
        raise UserError("nothing was copied yet: llmops run --from … --to …")
    return ids
