"""`llmops spenders`: who spent most over some days, exactly."""

from __future__ import annotations

import json
from datetime import date, timedelta

import click

from llmops_jobs.cli.days import DAY

KINDS = ("user", "tenant", "session", "trace")


@click.command()
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="These kinds only.")
@click.option("--from", "first", type=DAY, help="First day; a week to --to without it.")
@click.option("--to", "last", type=DAY, default="yesterday", show_default=True, help="Last day.")
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--project", help="Langfuse project; all of them without it.")
@click.option("--json", "as_json", is_flag=True, help="Stable JSON, documented in docs/ledger.md.")
def command(
    kinds: tuple[str, ...],
    first: date | None,
    last: date,
    top: int,
    project: str | None,
    as_json: bool,
) -> None:
    """The users, tenants, sessions and traces that spent most from --from to --to.

    Added up from every call of those days: no row per user is kept anywhere.
    """
    import pandas as pd

    from llmops_jobs.days import days
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.ledger.marts import top_spenders

    first = first or last - timedelta(days=6)
    if first > last:
        raise click.UsageError(f"--from {first} is after --to {last}")
    home = Deployment.from_environment()
    held = sorted({name for name, _ in home.lake.listing("costs")})
    if project is not None and project not in held:
        told = ", ".join(held) or "none"
        raise click.UsageError(f"nothing of project {project} was priced; of these: {told}")
    names = held if project is None else [project]
    span = list(days(first, last))
    found = [top_spenders(home.engine, home.lake, name, span, top) for name in names]
    parts = [part.assign(project=name) for part, name in zip(found, names, strict=True)]
    columns = ["project", "kind", "rank", "subject", "requests", "cost_usd", "share"]
    rows = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    rows = rows[rows["kind"].isin(kinds or KINDS)]
    if as_json:
        rows = rows.assign(cost_usd=[f"{usd:f}" for usd in rows["cost_usd"]])
        answer = {"first": str(first), "last": str(last)}
        click.echo(json.dumps({**answer, "spenders": rows[columns].to_dict("records")}, indent=2))
        return
    if rows.empty:
        click.echo(f"nobody spent anything from {first} to {last}")
    for (name, kind), part in rows.groupby(["project", "kind"], sort=False):
        click.echo(f"{kind}s of {name}, {first} to {last}")
        for row in part.itertuples():
            click.echo(
                f"{row.rank:>4}  {row.cost_usd:>14,.4f} USD  {row.share:>6.1%}  "
                f"{row.requests:>9,} calls  {row.subject}"
            )
