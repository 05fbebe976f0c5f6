"""`llmops budgets`: each budget, where it is heading, and what would bring it back."""

from __future__ import annotations

import json
from datetime import date

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError


@click.command()
@click.option("--as-of", type=DAY, help="Last day seen; the newest that is stored without it.")
@click.option("--project", help="Only this project, by its Langfuse id.")
@click.option(
    "--json", "as_json", is_flag=True, help="Stable JSON, documented in docs/forecast.md."
)
def command(as_of: date | None, project: str | None, as_json: bool) -> None:
    """Budget status: spent, forecast at the period's end, P(over), and the day it is used up."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.forecast.answers import budgets_answer

    deployment = Deployment.from_environment()
    answer = budgets_answer(deployment.database, as_of, project)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    if not deployment.settings.budgets and not answer["budgets"]:
        click.echo("no budgets are configured: add them under `budgets:` in llmops.yaml")
        return
    if not answer["budgets"]:
        when = f" as of {as_of}" if as_of else ""
        raise UserError(f"no budget status{when} is stored: `llmops run` computes it")
    for row in answer["budgets"]:
        over = row["probability_over"]
        chance = "" if over is None else f"  P(over) {over:.0%}"
        until = "" if row["exhausted_on"] is None else f"  used up {row['exhausted_on']}"
        click.echo(
            f"{row['status']:<8} {row['budget']} ({row['scope']}, from {row['period_start']}): "
            f"${row['spent_usd']:,.2f} of ${row['amount_usd']:,.2f}{chance}{until}"
        )
        if row["forecast_p50_usd"] is not None:
            click.echo(
                f"         ends at ${row['forecast_p50_usd']:,.2f} "
                f"(80 %: ${row['forecast_p10_usd']:,.2f} to ${row['forecast_p90_usd']:,.2f})"
            )
        click.echo(f"         {row['advice']}")
