"""`llmops forecast`: where spend is heading, from the stored forecast."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError


@click.command()
@click.option("--as-of", type=DAY, help="Last day the forecast saw; the newest without it.")
@click.option("--scope", "scopes", multiple=True, help="Only this scope, such as model=gpt-4o.")
@click.option("--project", help="Only this project, by its Langfuse id.")
@click.option(
    "--json", "as_json", is_flag=True, help="Stable JSON, documented in docs/forecast.md."
)
def command(
    as_of: date | None, scopes: tuple[str, ...], project: str | None, as_json: bool
) -> None:
    """The forecast of spend: this week, this month and the next, with 80 % intervals."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.forecast.answers import forecast_answer

    answer = forecast_answer(Deployment.from_environment().database, as_of, scopes, project)
    if not answer["projects"]:
        when = f" as of {as_of}" if as_of else ""
        raise UserError(f"no forecast{when} is stored: `llmops run` makes one for the days it runs")
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    for found in answer["projects"]:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    click.echo(f"project {found['project_id']}, as of {found['as_of']}")
    click.echo(f"{'':<34}{'so far':>12}{'expected':>12}   80 % interval")
    for period in found["periods"]:
        if period["metric"] != "cost_usd":
            continue
        name = f"{period['period']}  {period['scope']}"
        low, high = f"${period['p10']:,.2f}", f"${period['p90']:,.2f}"
        click.echo(
            f"{name[:33]:<34}{'$' + format(period['to_date'], ',.2f'):>12}"
            f"{'$' + format(period['mean'], ',.2f'):>12}   {low} to {high}"
        )
    score = found["score"]
    if score is not None:
        told = f"The last {score['nights']} nights: the 80 % interval held"
        told += f" {score['coverage_80']:.0%}"
        if score["mase"] is not None:
            told += f", error {score['mase']:.2f} of the seasonal naive forecast's"
        click.echo(f"{told}.")
