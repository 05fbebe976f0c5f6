"""Days of usage_daily for tests of rules: slices with their calls and errors; and the
night that looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from llmops_jobs.alerts.evaluate import evaluate_day
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.store import Database
from tests.facts import DAY, PROJECT


def usage(
    database: Database, day: date, cells: Sequence[dict[str, object]], project: str = PROJECT
) -> None:
    """Each cell: dimensions and counts; 1,000 calls of 1,000 tokens and a cent when silent."""
    rows = []
    for cell in cells:
        n = int(str(cell.get("requests", 1000)))
        rows.append(
            dict.fromkeys(DIMENSIONS, "")
            | {"is_evaluation": False, "price_status": "list", "requests": n, "errors": 0}
            | {"input_tokens": n * 1000, "output_tokens": 0, "reported_cost_usd": Decimal(0)}
            | {"cost_usd": Decimal(n) / 100}
            | cell
        )
    database.replace_day("usage_daily", project, day, pd.DataFrame(rows))


def evaluated(database: Database, day: date = DAY) -> list[dict[str, Any]]:
    """Every incident, after the default rules have looked at the day in the night behind it."""
    now = datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(days=1)
    evaluate_day(database, AlertSettings(), PROJECT, day, now=now)
    rows = database.table("incident").to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
