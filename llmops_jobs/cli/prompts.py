"""`llmops prompts`: proposed label moves, and moving a label with a person's yes."""

from __future__ import annotations

import getpass
import json
import os

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Proposed rollbacks of prompt labels."""


@command.command()
@click.option("--all", "everything", is_flag=True, help="Also what was applied or withdrawn.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def propose(everything: bool, as_json: bool) -> None:
    """List what the nightly comparisons propose, with the evidence. Moves nothing."""
    from llmops_jobs.deployment import Deployment

    rows = Deployment.from_environment().database.table("rollback")
    if not everything:
        rows = rows[rows["status"] == "proposed"]
    records = rows.to_dict("records")
    if as_json:
        click.echo(json.dumps(records, indent=1, default=str))
        return
    if not records:
        click.echo("nothing is proposed")
    for row in records:
        click.echo(
            f"{row['rollback_id']}  {row['prompt_name']}: {row['label']} from version "
            f"{row['from_version']} to {row['to_version']} ({row['status']}, {row['proposed_on']})"
        )
        click.echo(f"    why       {row['reason']}")
        click.echo(f"    expected  {row['expected_effect']}")


@command.command()
@click.argument("rollback_id")
@click.option("--apply", "apply_", is_flag=True, help="Move the label; asks first.")
@click.option("--undo", is_flag=True, help="Move it back after --apply; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rollback(rollback_id: str, apply_: bool, undo: bool, yes: bool) -> None:
    """Move the label of proposal ROLLBACK_ID. Without --apply or --undo it only shows the move."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.errors import UserError
    from llmops_jobs.versions.rollback import move

    if apply_ and undo:
        raise click.UsageError("give --apply or --undo, not both")
    home = Deployment.from_environment()
    rows = home.database.table("rollback", rollback_id=rollback_id)
    if rows.empty:
        raise UserError(f"there is no proposal {rollback_id}: see llmops prompts propose")
    row = rows.iloc[0]
    versions = (
        (row["to_version"], row["from_version"])
        if undo
        else (
            row["from_version"],
            row["to_version"],
        )
    )
    said = f"{row['prompt_name']}: {row['label']} from version {versions[0]} to {versions[1]}"
    click.echo(f"{said}\n  why: {row['reason']}")
    if not (apply_ or undo):
        click.echo("nothing was moved: add --apply")
        return
    if not yes:
        click.confirm("move it?", abort=True)
    keys = next(project for project in home.projects() if project.id == row["project_id"])
    moved = move(home.database, keys, rollback_id, actor=_actor(), undo=undo)
    click.echo(f"{moved['status']} by {moved['actor']}: {said}")


def _actor() -> str:
    """Who answers for the move: CI's user where there is one."""
    return os.environ.get("GITHUB_ACTOR") or getpass.getuser()
