"""Stored forecasts and budgets as plain data for the command line: stable, documented shapes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from llmops_jobs.forecast.frames import QUANTILES

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.store import Database

_DAILY = ("scope", "metric", "target_day", "mean", *QUANTILES, "method")
_PERIODS = ("scope", "period", "metric", "to_date", "mean", *QUANTILES, "days_missing")


def forecast_answer(
    database: Database,
    as_of: date | None = None,
    scopes: Sequence[str] = (),
    project: str | None = None,
) -> dict[str, Any]:
    """`{"projects": [{project_id, as_of, periods, daily, score}]}`; without scopes, the total."""
    chosen = list(scopes) or ["total"]
    found = []
    for project_id, day in _newest(database, "spend_forecast", as_of, project):
        daily = database.table("spend_forecast", project_id, as_of=day)
        periods = database.table("period_forecast", project_id, as_of=day)
        score = database.table(
            "forecast_score", project_id, as_of=day, scope="total", window=30, metric="cost_usd"
        )
        card = _records(score, ("nights", "n", "coverage_50", "coverage_80", "coverage_95"))
        more = _records(score, ("wis", "mase", "bias"))
        found.append(
            {
                "project_id": project_id,
                "as_of": day.isoformat(),
                "periods": _records(periods[periods["scope"].isin(chosen)], _PERIODS),
                "daily": _records(daily[daily["scope"].isin(chosen)], _DAILY),
                "score": card[0] | more[0] if card else None,
            }
        )
    return {"projects": found}


def budgets_answer(
    database: Database, as_of: date | None = None, project: str | None = None
) -> dict[str, Any]:
    """`{"budgets": [row of budget_status, …]}`, the newest night of each project."""
    from llmops_jobs.store.tables.forecast import budget_status

    rows: list[dict[str, Any]] = []
    for project_id, day in _newest(database, "budget_status", as_of, project):
        frame = database.table("budget_status", project_id, as_of=day)
        rows += _records(frame, tuple(budget_status.c.keys()))
    return {"budgets": rows}


def _newest(
    database: Database, table: str, as_of: date | None, project: str | None
) -> list[tuple[str, date]]:
    from llmops_jobs.store.tables import TABLES

    stored = TABLES[table]
    query = sa.select(stored.c.project_id, sa.func.max(stored.c.as_of).label("as_of")).group_by(
        stored.c.project_id
    )
    if as_of is not None:
        query = query.where(stored.c.as_of == as_of)
    if project is not None:
        query = query.where(stored.c.project_id == project)
    rows = database.read(query.order_by(stored.c.project_id))
    return list(zip(rows["project_id"], rows["as_of"], strict=True))


def _records(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    names = list(columns)
    return [
        {name: _plain(value) for name, value in zip(names, row, strict=True)}
        for row in frame[names].itertuples(index=False)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
