"""`llmops prompts`: what ran, how it differs and compares; moving a label with a person's yes."""

from __future__ import annotations

import getpass
import json
import os
import sys
from datetime import date
from typing import TYPE_CHECKING

import click

from llmops_jobs.cli.days import DAY

if TYPE_CHECKING:
    from llmops_jobs.deployment import Deployment

_COULD_NOT_RUN = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Prompts in production: what ran, how versions differ and compare, proposed rollbacks."""


@command.command()
@click.argument("day", type=DAY)
@click.option("--prompt", default="", help="Of this prompt only.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def show(day: date, prompt: str, as_json: bool) -> None:
    """What a past DAY ran with: versions, models, parameters, tools, releases and labels."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.versions.configuration import configuration

    home = Deployment.from_environment()
    found = configuration(home, _project(home), day, prompt)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=1, default=str))
        return
    for name, rows in found.combinations.groupby("prompt_name", sort=True):
        labels = [f"{label}={v}" for (of, label), v in sorted(found.labels.items()) if of == name]
        click.echo(_plain(f"{name or '(no prompt)'}  {' '.join(labels)}".rstrip()))
        for row in rows.to_dict("records"):
            asked = row["request_model"]
            model = row["model"] if asked in ("", row["model"]) else f"{asked} → {row['model']}"
            click.echo(
                _plain(
                    f"  {row['share']:6.1%}  version {row['prompt_version'] or '-':<4} {model}  "
                    f"{row['parameters']}  tools {row['tools']}  release {row['release'] or '-'}"
                )
            )


@command.command()
@click.argument("before", type=DAY)
@click.argument("after", type=DAY)
@click.option("--prompt", default="", help="Of this prompt only.")
@click.option("--text", is_flag=True, help="Also how the prompts' texts differ, from Langfuse.")
def diff(before: date, after: date, prompt: str, text: bool) -> None:
    """What is different between the days BEFORE and AFTER.

    Shares within five points of each other are the same. --text reads the versions most used on
    either day from Langfuse and shows a unified diff of text and config.
    """
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.versions.configuration import changes, configuration, text_changes

    home = Deployment.from_environment()
    project = _project(home)
    old, new = (configuration(home, project, day, prompt) for day in (before, after))
    lines = changes(old, new)
    for line in lines or ["nothing is different"]:
        click.echo(_plain(line))
    if text:
        keys = next(keys for keys in home.projects() if keys.id == project)
        for _, differing in text_changes(keys, old, new):
            for line in differing:
                click.echo(_plain(line))


@command.command()
@click.argument("prompt", required=False, default="")
@click.option("--day", type=DAY, help="As of this night; else the newest.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def compare(prompt: str, day: date | None, as_json: bool) -> None:
    """How the versions of PROMPT (or of every prompt and model) compare on real traffic.

    Below the comparison stands the balance table: whether both got the same kind of calls.
    """
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.errors import UserError

    database = Deployment.from_environment().database
    wanted = {"slice": "total"} | ({"subject": f"prompt:{prompt}"} if prompt else {})
    rows = database.table("version_comparison", first=day, last=day, **wanted)
    rows = rows[rows["day"] == rows["day"].max()] if len(rows) else rows
    if rows.empty:
        raise UserError("no two versions were compared: see llmops prompts show DAY")
    night = rows["day"].iloc[0]
    balance = database.table("version_balance", first=night, last=night)
    balance = balance[balance["subject"].isin(rows["subject"])]
    if as_json:
        both = {"comparisons": rows.to_dict("records"), "balance": balance.to_dict("records")}
        click.echo(json.dumps(both, indent=1, default=str))
        return
    for (subject, baseline, candidate), part in rows.groupby(["subject", "baseline", "candidate"]):
        click.echo(_plain(f"{subject}: {candidate} against {baseline}, as of {night}"))
        for row in part.to_dict("records"):
            more = f"  about {int(row['needed']):,} more calls" if row["needed"] > 0 else ""
            click.echo(
                _plain(
                    f"  {row['metric']:<34} {row['verdict']:<16} {row['difference']:+.4g} "
                    f"({row['low']:+.4g} to {row['high']:+.4g}){more}"
                )
            )
        for caveat in sorted({row for row in part["caveat"] if row}):
            click.echo(_plain(f"  note: {caveat}"))
        click.echo("  balance         differs most in        before   after (SD)")
        for row in balance[balance["subject"] == subject].to_dict("records"):
            after = "-" if row["smd_after"] != row["smd_after"] else f"{row['smd_after']:+.2f}"
            line = f"  {row['covariate']:<15} {row['level']:<22} {row['smd_before']:+.2f}   {after}"
            click.echo(_plain(line))


def _project(home: Deployment) -> str:
    """The first configured project that was copied."""
    from llmops_jobs.errors import UserError

    known = home.database.table("project", name=home.settings.projects[0].name)
    if known.empty:
        raise UserError("nothing was copied yet: llmops run --from … --to …")
    return str(known["project_id"].iloc[0])


def _plain(text: str) -> str:
    """Without the control characters that a terminal would obey: names come from traces."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


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
    """Move the label of proposal ROLLBACK_ID. Without --apply or --undo it only shows the move.

    Exit 3 where Langfuse refuses the move; nothing has changed then.
    """
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.errors import SourceError, UserError
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
    try:
        keys = next(project for project in home.projects() if project.id == row["project_id"])
        moved = move(home.database, keys, rollback_id, actor=_actor(), undo=undo)
    except SourceError as error:
        # A deleted version, a protected label, no permission: Langfuse refused, nothing moved.
        click.echo(f"llmops prompts rollback: nothing was moved: {error}", err=True)
        sys.exit(_COULD_NOT_RUN)
    click.echo(f"{moved['status']} by {moved['actor']}: {said}")


def _actor() -> str:
    """Who answers for the move: CI's user where there is one."""
    return os.environ.get("GITHUB_ACTOR") or getpass.getuser()
