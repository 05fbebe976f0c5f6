"""`llmops report`: renders reports again from the marts, without a run."""

from __future__ import annotations

from datetime import date

import click

from llmops_jobs.cli.days import DAY

_FORMATS = ("html", "md", "json")


@click.command()
@click.option(
    "--date", "day", type=DAY, help="A day of the period; the newest with data if absent."
)
@click.option(
    "--period", type=click.Choice(["day", "week", "month"]), default="day", show_default=True
)
@click.option(
    "--format",
    "formats",
    default="html,md,json",
    show_default=True,
    help="Comma-separated: html, md, json.",
)
@click.option("--out", help="Folder or fsspec address; LLMOPS_REPORTS_URL if absent.")
@click.option("--project", help="Only this project, by its Langfuse id or configured name.")
def command(
    day: date | None, period: str, formats: str, out: str | None, project: str | None
) -> None:
    """Render a report again from the marts and print where it is."""
    chosen = [one.strip() for one in formats.split(",") if one.strip()]
    unknown = [one for one in chosen if one not in _FORMATS]
    if unknown or not chosen:
        raise click.UsageError(f"--format {formats!r}: write any of {', '.join(_FORMATS)}")

    from llmops_jobs.deployment import Deployment
    from llmops_jobs.errors import UserError
    from llmops_jobs.report.build import known_projects
    from llmops_jobs.report.publish import newest_day, publish
    from llmops_jobs.report.site import Site

    home = Deployment.from_environment()
    projects = known_projects(home.database)
    if project is not None:
        named = home.database.table("project", name=project)["project_id"].tolist()
        projects = [one for one in projects if one == project or one in named]
    if not projects:
        what = f"project {project}" if project else "any project"
        raise UserError(f"the marts hold no data of {what}; run `llmops run --from ... --to ...`")
    day = day or newest_day(home.database, projects)
    if day is None:
        raise UserError("the marts hold no model call yet; run `llmops run --from ... --to ...`")
    site = Site(out or home.settings.reports_url)
    for done in publish(
        home.database,
        home.settings.report,
        site,
        projects,
        day,
        day,
        periods=[period],
        formats=chosen,
        alerts=home.settings.alerts,
        lake=home.lake if home.settings.report.include_text else None,
    ):
        for ending in chosen:
            click.echo(site.address(f"{done.path.removesuffix('.html')}.{ending}"))
