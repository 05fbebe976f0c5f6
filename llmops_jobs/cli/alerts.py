"""`llmops alerts`: incidents, who is told of them, and what a rule would have sent."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError

_JSON = click.option("--json", "as_json", is_flag=True, help="Stable JSON; see docs/alerts.md.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Incidents and channels."""


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--dead", is_flag=True, help="Messages that were given up, instead of incidents.")
@click.option("--retry", is_flag=True, help="With --dead: give them another round of tries.")
@click.option("--project", help="Only this project, by its Langfuse id.")
@_JSON
def list_(everything: bool, dead: bool, retry: bool, project: str | None, as_json: bool) -> None:
    """Incidents that are not over, the gravest first."""
    from llmops_jobs.alerts import outbox
    from llmops_jobs.alerts.show import dead_messages, incidents

    database = _deployment().database
    if dead:
        rows = dead_messages(database)
        if as_json:
            click.echo(json.dumps(rows, indent=2))
        for row in [] if as_json else rows:
            click.echo(f"{row['channel']:<14} {row['event_key']}  {row['last_error']}")
        if retry:
            click.echo(f"{outbox.revive(database, _now())} messages will be tried again", err=True)
        elif not rows and not as_json:
            click.echo("no message was given up")
        return
    rows = incidents(database, project=project, everything=everything)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        since = f"since {row['first_day']}"
        if row["state"] == "resolved":
            since = f"{row['first_day']} to {row['last_day']}"
        click.echo(f"{row['id'][:12]}  {row['state']:<12} {row['severity']:<8} {since}")
        click.echo(f"              {row['summary']}")
    if not rows:
        click.echo("no incident is open" if not everything else "there was no incident yet")


@command.command()
@click.argument("incident")
@_JSON
def show(incident: str, as_json: bool) -> None:
    """One INCIDENT (its id or the beginning of it) with evidence and messages."""
    from llmops_jobs.alerts.show import one

    found = one(_deployment().database, incident)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{found['summary']}\n")
    for name in ("id", "state", "severity", "rule", "project", "first_day", "last_day", "owner"):
        if found[name]:
            click.echo(f"{name.replace('_', ' '):<12} {found[name]}")
    for name, value in found["labels"].items():
        click.echo(f"{name:<12} {value or '(none)'}")
    if found["acknowledged_by"]:
        click.echo(f"{'taken by':<12} {found['acknowledged_by']}")
    for title, lines in (
        ("part of it", found["also"]),
        ("grew most in", [f"{c['slice']} ({c['share']:.0%})" for c in found["contributions"]]),
        ("traces", found["traces"]),
        ("runbook", [found["runbook"]] if found["runbook"] else []),
        ("messages", [_message(m) for m in found["messages"]]),
    ):
        if lines:
            click.echo(f"\n{title}")
            for line in lines:
                click.echo(f"  {line}")


def _message(row: dict[str, Any]) -> str:
    failed = f" ({row['last_error']})" if row["last_error"] and row["status"] != "sent" else ""
    return f"{row['created_at'][:16]} {row['kind']:<11} {row['channel']}: {row['status']}{failed}"


@command.command()
@click.argument("incident")
@click.option("--by", help="Your name; the account's without it.")
def ack(incident: str, by: str | None) -> None:
    """Take on an INCIDENT: no more reminders, and the channels are told."""
    from llmops_jobs.alerts.act import acknowledge

    deployment = _deployment()
    done = acknowledge(
        *(deployment.database, deployment.settings.alerts, incident), by=_by(by), now=_now()
    )
    click.echo(f"acknowledged by {done['acknowledged_by']}: {done['summary']}")


@command.command()
@click.argument("matchers", nargs=-1, metavar="NAME=VALUE…")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=24.0)
@click.option("--reason", default="", help="Why; shown in the list.")
@click.option("--by", help="Your name; the account's without it.")
@click.option("--end", "ended", metavar="ID", help="End this silence now.")
@_JSON
def silence(
    matchers: tuple[str, ...],
    hours: float,
    reason: str,
    by: str | None,
    ended: str | None,
    as_json: bool,
) -> None:
    """Tell nobody of incidents that match all NAME=VALUE (rule, severity or a label; * stands for
    any text), for --hours. Without a matcher: the silences that hold."""
    from llmops_jobs.alerts import silences

    database = _deployment().database
    if ended:
        if not silences.end(database, ended, _now()):
            raise UserError(f"no silence {ended} holds: see llmops alerts silence")
        click.echo(f"ended {ended}")
        return
    if not matchers:
        _silences(as_json)
        return
    matcher = {}
    for text in matchers:
        name, equal, value = text.partition("=")
        if not equal or not name:
            raise click.UsageError(f"{text} is not NAME=VALUE")
        matcher[name] = value
    made = silences.add(
        database,
        matcher,
        until=_now() + timedelta(hours=hours),
        now=_now(),
        reason=reason,
        by=_by(by),
    )
    click.echo(f"{made.silence_id}: silent until {made.ends_at:%Y-%m-%d %H:%M} UTC")


def _silences(as_json: bool) -> None:
    from llmops_jobs.alerts import silences

    held = silences.active(_deployment().database, _now())
    rows = [
        {
            "id": s.silence_id,
            "matcher": dict(s.matcher),
            "reason": s.reason,
            "created_by": s.created_by,
            "ends_at": s.ends_at.isoformat(),
        }
        for s in held
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        matched = " ".join(f"{k}={v}" for k, v in row["matcher"].items())  # type: ignore[attr-defined]
        click.echo(f"{row['id']}  {matched}  until {row['ends_at']}  {row['reason']}")
    if not rows:
        click.echo("nothing is silenced")


@command.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL…]")
def test(channels: tuple[str, ...]) -> None:
    """Send a test message through each CHANNEL (all without one), now and past the outbox."""
    from llmops_jobs.alerts.channels import RefusedError, RetryLaterError, send
    from llmops_jobs.alerts.show import test_message
    from llmops_jobs.errors import ConfigError

    settings = _deployment().settings.alerts
    known = {channel.name: channel for channel in settings.channels}
    if unknown := [name for name in channels if name not in known]:
        raise UserError(f"there is no channel {unknown[0]}; there are {', '.join(known)}")
    failed = 0
    for name in channels or known:
        key, message = test_message(name, _now())
        try:
            send(known[name], key, message, _now())
        except (RefusedError, RetryLaterError, ConfigError) as error:
            failed += 1
            click.echo(f"failed  {error}")
        else:
            click.echo(f"ok      {name} ({known[name].kind})")
    if failed:
        raise UserError(f"{failed} of {len(channels or known)} channels did not accept it")


@command.command()
@click.option("--from", "first", type=DAY, required=True, help="First day.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included.")
@click.option("--rule", "only", multiple=True, help="Only messages of this rule; repeatable.")
@click.option("--project", help="Only this project, by its Langfuse id.")
@click.option(
    "--events",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file of known events: precision and recall against them.",
)
@_JSON
def replay(
    first: date,
    last: date,
    only: tuple[str, ...],
    project: str | None,
    events: Path | None,
    as_json: bool,
) -> None:
    """What would have been sent over past days, by the rules as they are configured now. Nothing
    is sent or stored."""
    from llmops_jobs.alerts.replay import compare, read_events, replay_days

    if last < first:
        raise click.UsageError("--to is before --from")
    deployment = _deployment()
    sent = replay_days(deployment.database, deployment.settings.alerts, first, last, project, only)
    answer: dict[str, Any] = {"incidents": sent}
    if events is not None:
        answer |= compare(sent, read_events(events), first, last)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    for row in sent:
        end = f" to {row['resolved_day']}" if row["resolved_day"] else ""
        event = f"  [{row['event']}]" if row.get("event") else ""
        click.echo(f"{row['day']}{end}  {row['severity']:<8} {row['summary']}{event}")
    if events is None:
        click.echo(f"{len(sent)} incidents")
        return
    click.echo(
        f"{len(sent)} incidents; precision {_share(answer['precision'])}, recall "
        f"{_share(answer['recall'])} within a day; {answer['false']} on no known event, "
        f"{answer['budgets']} of budgets"
    )
    for name in answer["twice"]:
        click.echo(f"told twice: {name}")
    for name in answer["missed"]:
        click.echo(f"missed: {name}")


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"


def _deployment() -> Any:
    from llmops_jobs.deployment import Deployment

    return Deployment.from_environment()


def _now() -> datetime:
    return datetime.now(UTC)


def _by(name: str | None) -> str:
    try:
        return name or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
