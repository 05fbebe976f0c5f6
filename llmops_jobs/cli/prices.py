"""`llmops prices`: what a model costs by the price book, and which models have no price."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import click

from llmops_jobs.cli.days import DAY


@click.command()
@click.argument("model", required=False)
@click.option("--provider", default="", help="Who serves it; found by the name without it.")
@click.option("--day", type=DAY, default="yesterday", show_default=True, help="Prices of this day.")
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="To look back.")
@click.option("--json", "as_json", is_flag=True, help="Stable JSON, documented in docs/ledger.md.")
def command(model: str | None, provider: str, day: date, days: int, as_json: bool) -> None:
    """What MODEL costs. Without MODEL: the models of the last days that have no price, as lines
    for the price file."""
    from llmops_jobs.config import load
    from llmops_jobs.ledger.book import load_book

    book = load_book(load().ledger)
    if model is None:
        _unpriced(day - timedelta(days=days - 1), day, as_json)
        return
    from llmops_jobs.ledger.lookup import prices_of

    tiers = prices_of(book, model, provider, day)
    if as_json:
        answer = {"model": model, "provider": provider, "day": str(day), "tiers": tiers}
        click.echo(json.dumps({**answer, "price_book_hash": book.hash}, indent=2))
        return
    if not tiers:
        click.echo(f"{model}: no price on {day}. Give it one in the file of ledger.price_file.")
    for tier in tiers:
        _show(tier)
    click.echo(f"price book {book.hash}, {len(book.overrides)} entries of the own file")


def _show(tier: dict[str, Any]) -> None:
    above = tier["above_input_tokens"]
    where = f", for calls of more than {above:,} input tokens" if above else ""
    click.echo(f"{tier['price_id']} ({tier['price_status']}){where}")
    for what, prices in (
        ("USD per 1M tokens", tier["per_million_tokens"]),
        ("USD each", tier["per_piece"]),
    ):
        for kind, usd in prices.items():
            click.echo(f"  {kind:<16} {usd:>12} {what}")


def _unpriced(first: date, last: date, as_json: bool) -> None:
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.ledger.lookup import stub, unpriced

    models = unpriced(Deployment.from_environment().database, first, last)
    if as_json:
        rows = models.assign(cost_usd=[f"{usd:f}" for usd in models["cost_usd"]])
        answer = {"first": str(first), "last": str(last), "models": rows.to_dict("records")}
        click.echo(json.dumps(answer, indent=2))
        return
    if models.empty:
        click.echo(f"every model called from {first} to {last} has a price")
        return
    click.echo(f"# Models without a price from {first} to {last}. Fill in what you pay, and run")
    click.echo("# `llmops run --select 'costs*'` for those days again. `price_as: azure/gpt-4o`")
    click.echo("# instead of prices charges a deployment's name as the model behind it.")
    for line in stub(models):
        click.echo(line)
