"""Which slices explain that a day differs: value against the same weekday of the weeks before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from llmops_jobs.forecast.history import COST, EVALUATION, TOKENS, TOTAL

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.store import Database

_SLICED = ("tenant", "feature", "model", "prompt_version", "environment")
_WEEKS = 4
_SHOWN = 3
_LEAST = 0.1  # of the difference, below which a slice is not worth a line


def explain(
    database: Database, project: str, night: date, rows: Sequence[dict[str, Any]]
) -> list[str]:
    """For each row (scope, metric) the slices within it that moved most, in words."""
    cells = _cells(database, project, night)
    return [_explain(cells, night, row["scope"], row["metric"]) for row in rows]


def _cells(database: Database, project: str, night: date) -> pd.DataFrame:
    from llmops_jobs.store.tables.ledger import usage_daily as usage

    days = [night - timedelta(days=7 * week) for week in range(_WEEKS + 1)]
    dimensions = [usage.c[name] for name in (*_SLICED, "prompt_name", "provider", "is_evaluation")]
    query = (
        sa.select(
            usage.c.day,
            *dimensions,
            sa.type_coerce(sa.func.sum(usage.c.cost_usd), sa.Double).label(COST),
            sa.func.sum(usage.c.input_tokens + usage.c.output_tokens).label(TOKENS),
        )
        .where(usage.c.project_id == project, usage.c.day.in_(days))
        .group_by(usage.c.day, *dimensions)
    )
    return database.read(query)


def _explain(cells: pd.DataFrame, night: date, scope: str, metric: str) -> str:
    dimension, _, value = scope.partition("=")
    evaluation = scope == EVALUATION
    inside = cells[cells["is_evaluation"].astype(bool) == evaluation]
    if scope not in (TOTAL, EVALUATION):
        inside = inside[inside[dimension].astype(str) == value]
    if inside.empty:
        return ""
    inside = inside.assign(
        prompt_version=inside["prompt_name"] + "@" + inside["prompt_version"],
        **{metric: inside[metric].astype(float)},
    )
    differences = []
    for name in _SLICED:
        if name == dimension:
            continue
        table = inside.pivot_table(
            index=name, columns="day", values=metric, aggfunc="sum", fill_value=0.0
        )
        if night not in table:
            continue
        before = table.drop(columns=night)
        usual = before.median(axis=1) if before.shape[1] else 0.0 * table[night]
        for label, difference in (table[night] - usual).items():
            if label not in ("", "@"):
                differences.append((float(difference), name, str(label)))
    return _worded(differences, inside, night, metric)


def _worded(
    differences: list[tuple[float, str, str]], inside: pd.DataFrame, night: date, metric: str
) -> str:
    by_day = inside.groupby("day")[metric].sum()
    usual = by_day.drop(index=night, errors="ignore")
    whole = float(by_day.get(night, 0.0)) - (float(usual.median()) if len(usual) else 0.0)
    if whole == 0.0:
        return ""
    sign = 1.0 if whole > 0 else -1.0
    # One slice per dimension: the tenant, the feature and the model of one runaway are one cause.
    best: dict[str, tuple[float, str]] = {}
    for difference, name, label in differences:
        if name not in best or sign * difference > sign * best[name][0]:
            best[name] = (difference, label)
    ranked = sorted(((d, n, v) for n, (d, v) in best.items()), key=lambda x: -sign * x[0])
    told = [
        f"{name}={label} {_signed(difference, metric)} ({difference / whole:.0%})"
        for difference, name, label in ranked[:_SHOWN]
        if sign * difference >= _LEAST * abs(whole)
    ]
    return "; ".join(told)


def _signed(difference: float, metric: str) -> str:
    sign = "+" if difference > 0 else "-"
    amount = abs(difference)
    return f"{sign}${amount:,.2f}" if metric == COST else f"{sign}{amount:,.0f} tokens"
