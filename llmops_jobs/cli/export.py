"""`llmops export`: the ledger in FOCUS columns, and the marts as Parquet."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError

_EXTRA = ("environment", "feature", "prompt_name", "prompt_version")


@click.group()
def command() -> None:
    """Write the ledger or the marts to files."""


@command.command()
@click.option("--from", "first", type=DAY, required=True, help="First day, included.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included.")
@click.option("--project", help="Only this configured project, by its name.")
@click.option("--format", "kind", type=click.Choice(["parquet", "csv"]), default="parquet")
@click.option("--by", multiple=True, type=click.Choice(_EXTRA), help="Split the rows further.")
@click.option("--out", type=click.Path(path_type=Path), help="File; focus.<format> without it.")
def focus(
    first: date,
    last: date,
    project: str | None,
    kind: str,
    by: tuple[str, ...],
    out: Path | None,
) -> None:
    """FOCUS 1.3 rows, one per day, SKU and tenant: for FinOps tools and chargeback."""
    from llmops_jobs.config import only_project
    from llmops_jobs.days import days
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.ledger.export import focus_days, write_focus

    if last < first:
        raise UserError(f"--to {last} is before --from {first}")
    if project is not None:
        only_project(project)
    path = out or Path(f"focus.{kind}")
    rows = write_focus(
        focus_days(Deployment.from_environment(), list(days(first, last)), by), path, kind
    )
    click.echo(f"{path}: {rows} rows")


@command.command()
@click.option("--from", "first", type=DAY, help="First day, included; all without it.")
@click.option("--to", "last", type=DAY, help="Last day, included; all without it.")
@click.option("--table", "tables", multiple=True, help="Only this table; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("marts"), show_default=True)
def parquet(first: date | None, last: date | None, tables: tuple[str, ...], out: Path) -> None:
    """The tables of the database as Parquet files, one a table."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.ledger.export import write_marts

    written = write_marts(Deployment.from_environment(), out, tables, first, last)
    for name, rows in written.items():
        click.echo(f"{out / name}.parquet: {rows} rows")
