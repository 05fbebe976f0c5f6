"""`llmops forecast`: where spend is heading, from the stored forecast."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from llmops_jobs.cli.days import DAY
from llmops_jobs.errors import UserError

if TYPE_CHECKING:
    from llmops_jobs.deployment import Deployment


@click.command()
@click.option("--as-of", type=DAY, help="Last day the forecast saw; the newest without it.")
@click.option("--scope", "scopes", multiple=True, help="Only this scope, such as model=gpt-4o.")
@click.option("--project", help="Only this project, by its Langfuse id.")
@click.option(
    "--what-if",
    metavar="PROMPT@VERSION=MODEL",
    help="What the traffic of a prompt (version) would cost on another model.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Stable JSON, documented in docs/forecast.md."
)
def command(
    as_of: date | None,
    scopes: tuple[str, ...],
    project: str | None,
    what_if: str | None,
    as_json: bool,
) -> None:
    """The forecast of spend: this week, this month and the next, with 80 % intervals."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.forecast.answers import forecast_answer

    deployment = Deployment.from_environment()
    answer = forecast_answer(deployment.database, as_of, scopes, project)
    if not answer["projects"]:
        when = f" as of {as_of}" if as_of else ""
        raise UserError(f"no forecast{when} is stored: `llmops run` makes one for the days it runs")
    if what_if is not None:
        answer = {"what_if": [_what_if(deployment, found, what_if) for found in answer["projects"]]}
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    for found in answer.get("what_if", ()):
        _show_what_if(found)
    for found in answer.get("projects", ()):
        _show(found)


def _what_if(deployment: Deployment, found: dict[str, Any], text: str) -> dict[str, Any]:
    from llmops_jobs.forecast.what_if import parse, what_if
    from llmops_jobs.ledger.book import load_book

    book = load_book(deployment.settings.ledger)
    day = date.fromisoformat(found["as_of"])
    return what_if(deployment.database, book, found["project_id"], day, *parse(text))


def _show_what_if(found: dict[str, Any]) -> None:
    version = "" if found["version"] is None else f"@{found['version']}"
    click.echo(
        f"{found['prompt']}{version} on {found['model']}: its {found['requests']:,} calls of the "
        f"last {found['days']} days would have cost ${found['what_if_usd']:,.2f} instead of "
        f"${found['cost_usd']:,.2f} ({found['share_of_spend']:.0%} of spend)"
    )
    for period in found["periods"]:
        click.echo(
            f"  {period['period']}: {_signed(period['change_usd'])} on an expected "
            f"${period['expected_usd']:,.2f} (80 %: {_signed(period['change_p10_usd'])} to "
            f"{_signed(period['change_p90_usd'])})"
        )
    click.echo("  at the same tokens; how good its answers are is not in this number")


def _signed(amount: float) -> str:
    return f"{'+' if amount >= 0 else '-'}${abs(amount):,.2f}"


def _show(found: dict[str, Any]) -> None:
    click.echo(f"project {found['project_id']}, as of {found['as_of']}")
    periods = [period for period in found["periods"] if period["metric"] == "cost_usd"]
    wide = max([len(period["scope"]) for period in periods], default=0) + 12
    click.echo(f"{'':<{wide}}{'so far':>12}{'expected':>12}   80 % interval")
    for period in periods:
        name = f"{period['period']:<10}{period['scope']}"
        low, high = f"${period['p10']:,.2f}", f"${period['p90']:,.2f}"
        click.echo(
            f"{name:<{wide}}{'$' + format(period['to_date'], ',.2f'):>12}"
            f"{'$' + format(period['mean'], ',.2f'):>12}   {low} to {high}"
        )
    for day in found["daily"]:
        corrected = (day["method"] or "").partition("; ")[2]
        if corrected and day["metric"] == "cost_usd":
            click.echo(f"{day['scope']}: {corrected}")
    score = found["score"]
    if score is not None:
        told = f"The last {score['nights']} nights: the 80 % interval held"
        told += f" {score['coverage_80']:.0%}"
        if score["mase"] is not None:
            told += f", error {score['mase']:.2f} of the seasonal naive forecast's"
        click.echo(f"{told}.")
