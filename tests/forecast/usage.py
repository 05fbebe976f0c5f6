"""Usage for the tests: a small product with weekends, growth and a few tenants."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.store import Database

PROJECT = "test-project"
FIRST = date(2026, 8, 1)
_PRICE = {"gpt-4o": 5e-6, "gpt-4o-mini": 3e-7}
_SPLIT = {
    ("gpt-4o", "rag-answer", "acme"): 0.4,
    ("gpt-4o", "chat", "globex"): 0.2,
    ("gpt-4o-mini", "chat", "acme"): 0.25,
    ("gpt-4o-mini", "summarise", "initech"): 0.15,
}


def usage(
    days: int, *, first: date = FIRST, tokens: float = 1e6, growth: float = 0.003, seed: int = 5
) -> pd.DataFrame:
    """Rows of `usage_daily`, one per day and way of calling."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(days):
        day = first + timedelta(days=number)
        level = tokens * (1 + growth) ** number * (0.6 if day.weekday() >= 5 else 1.0)
        level *= float(np.exp(0.08 * random.standard_normal()))
        for (model, feature, tenant), share in _SPLIT.items():
            used = level * share * float(np.exp(0.05 * random.standard_normal()))
            rows.append(row(day, used, model=model, feature=feature, tenant=tenant))
    return pd.DataFrame(rows)


def row(day: date, tokens: float, **values: Any) -> dict[str, Any]:
    model = values.get("model", "gpt-4o")
    cost = Decimal(repr(round(tokens * _PRICE.get(model, 1e-6), 9)))
    output = int(tokens / 5)
    return {
        "project_id": PROJECT,
        "day": day,
        "environment": "production",
        "provider": "openai",
        "model": model,
        "feature": "chat",
        "prompt_name": values.get("feature", "chat"),
        "prompt_version": "1",
        "tenant": "acme",
        "is_evaluation": False,
        "price_status": "list",
        "requests": 100,
        "errors": 0,
        "traces": 100,
        "input_tokens": int(tokens) - output,
        "output_tokens": output,
        "cache_read_tokens": int(tokens / 10),
        "cost_usd": cost,
        "reported_cost_usd": cost,
    } | values


def store(database: Database, rows: pd.DataFrame, missing: Collection[date] = ()) -> None:
    """Writes usage and the state of the copy; the days `missing` are in neither."""
    rows = rows[~rows["day"].isin(set(missing))]
    database.upsert("usage_daily", rows)
    pulls = [
        {
            "project_id": PROJECT,
            "day": day,
            "source": "observations",
            "rows": 1,
            "pages": 1,
            "bytes": 1,
            "content_hash": "",
        }
        for day in sorted(set(rows["day"]))
    ]
    database.upsert("pull", pd.DataFrame(pulls))


def nights(first: int, count: int) -> list[date]:
    """`count` nights; `first` 0 is the first day of usage."""
    return [FIRST + timedelta(days=first + number) for number in range(count)]
