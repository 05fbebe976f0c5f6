"""What if this prompt (version) ran on that model: the same tokens at the other model's price.

The traffic of the last four weeks is priced again with the price book; its share of the total
carries the stored forecast along. The number holds tokens fixed: another model may write more or
fewer, and may be worse; what it is worth is for an experiment to say.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from llmops_jobs.errors import UserError
from llmops_jobs.forecast.frames import QUANTILES
from llmops_jobs.forecast.history import COST, TOKEN_TYPES, TOTAL

if TYPE_CHECKING:
    from llmops_jobs.ledger.book import PriceBook
    from llmops_jobs.store import Database

_DAYS = 28


def parse(text: str) -> tuple[str, str | None, str]:
    """`rag-answer@4=gpt-4o-mini` -> (prompt, version or None, model).

    Raises UserError that shows the form.
    """
    subject, _, model = text.partition("=")
    prompt, _, version = subject.strip().partition("@")
    if not prompt or not model.strip():
        raise UserError(
            f"--what-if {text!r}: write PROMPT@VERSION=MODEL, such as rag-answer@4=gpt-4o-mini "
            "(without @VERSION, every version)"
        )
    return prompt, version or None, model.strip()


def what_if(
    database: Database,
    book: PriceBook,
    project: str,
    as_of: date,
    prompt: str,
    version: str | None,
    model: str,
) -> dict[str, Any]:
    """Cost of the prompt's traffic now and on `model`, and what that changes in each period.

    Raises UserError when there was no such traffic or the model has no price.
    """
    traffic = _traffic(database, project, as_of, prompt)
    whole = float(traffic["whole"].iloc[0]) if len(traffic) else 0.0
    chosen = traffic if version is None else traffic[traffic["prompt_version"] == version]
    if chosen.empty:
        known = ", ".join(sorted(set(traffic["prompt_version"]))) or "none"
        named = prompt if version is None else f"{prompt}@{version}"
        raise UserError(
            f"no calls of prompt {named} in the {_DAYS} days up to {as_of} (versions seen: {known})"
        )
    now = float(chosen[COST].sum())
    then = _priced(book, chosen, model, as_of + timedelta(days=1))
    if then is None:
        raise UserError(f"the price book has no price for model {model}: add it to the price file")
    share = now / whole if whole > 0 else 0.0
    factor = 1.0 + share * (then / now - 1.0) if now > 0 else 1.0
    return {
        "project_id": project,
        "as_of": as_of.isoformat(),
        "prompt": prompt,
        "version": version,
        "model": model,
        "requests": int(chosen["requests"].sum()),
        "days": _DAYS,
        "cost_usd": now,
        "what_if_usd": then,
        "share_of_spend": share,
        "periods": _periods(database, project, as_of, factor),
    }


def _traffic(database: Database, project: str, as_of: date, prompt: str) -> pd.DataFrame:
    from llmops_jobs.store.tables.ledger import usage_daily as usage

    inside = sa.and_(
        usage.c.project_id == project,
        usage.c.day > as_of - timedelta(days=_DAYS),
        usage.c.day <= as_of,
        usage.c.is_evaluation.is_(False),
    )
    whole = database.read(
        sa.select(sa.type_coerce(sa.func.sum(usage.c[COST]), sa.Double).label("whole")).where(
            inside
        )
    )["whole"].iloc[0]
    keys = [usage.c.prompt_version, usage.c.provider, usage.c.model]
    sums = [
        sa.type_coerce(sa.func.sum(usage.c[name]), sa.Double).label(name)
        for name in (COST, *TOKEN_TYPES, "requests")
    ]
    query = sa.select(*keys, *sums).where(inside, usage.c.prompt_name == prompt).group_by(*keys)
    return database.read(query).assign(whole=float(whole or 0.0))


def _priced(book: PriceBook, traffic: pd.DataFrame, model: str, day: date) -> float | None:
    """The traffic on another model; by the first provider that has a price for it."""
    mix = traffic[[*TOKEN_TYPES, "requests"]].sum()
    for provider in [*dict.fromkeys(traffic["provider"]), ""]:
        row = pd.DataFrame([{"provider": provider, "model": model} | mix.to_dict()])
        cost = float(book.blended(row, [day])["cost_usd"].iloc[0])
        if np.isfinite(cost):
            return cost
    return None


def _periods(database: Database, project: str, as_of: date, factor: float) -> list[dict[str, Any]]:
    """The total's stored period forecasts, and the change of what is still to come in each."""
    stored = database.table("period_forecast", project, as_of=as_of, scope=TOTAL, metric=COST)
    rows = []
    for row in stored.to_dict("records"):
        change = {
            name: (factor - 1.0) * max(float(row[name]) - float(row["to_date"]), 0.0)
            for name in QUANTILES
        }
        rows.append(
            {
                "period": row["period"],
                "expected_usd": float(row["mean"]),
                "change_usd": (factor - 1.0) * (float(row["mean"]) - float(row["to_date"])),
                "change_p10_usd": min(change["p10"], change["p90"]),
                "change_p90_usd": max(change["p10"], change["p90"]),
            }
        )
    return rows
