"""Known changes of price reach the forecast through the dated price book."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from llmops_jobs.forecast import runs
from llmops_jobs.forecast.settings import ForecastSettings
from llmops_jobs.ledger.book import PriceBook, load_book
from llmops_jobs.ledger.settings import LedgerSettings
from llmops_jobs.store import Database
from tests.forecast.usage import PROJECT, nights, row, store

SETTINGS = ForecastSettings(paths=200, small_share=0.9)
AS_OF = nights(44, 1)[0]  # 14 September
_BOOK = """
prices:
  - {{match: {{model: "^house-model$"}}, to: {day}, per_million_tokens: {{input: 10, output: 10}}}}
  - {{match: {{model: "^house-model$"}}, from: {day}, per_million_tokens: {{input: 5, output: 5}}}}
"""


def book(tmp_path: Path, halved_on: date) -> PriceBook:
    file = tmp_path / "prices.yaml"
    file.write_text(_BOOK.format(day=halved_on))
    return load_book(LedgerSettings(price_file=str(file)))


def use(database: Database, halved_on: date) -> None:
    rows = []
    for day in nights(0, 45):
        for model, price in (("house-model", 10 if day < halved_on else 5), ("gpt-4o", 5)):
            tokens = 600_000.0 if day.weekday() >= 5 else 1_000_000.0
            rows.append(row(day, tokens, model=model, tenant=model))
            rows[-1]["cost_usd"] = Decimal(price) * Decimal(int(tokens)) / 1_000_000
    store(database, pd.DataFrame(rows))


def expected(database: Database, prices: PriceBook | None, scope: str) -> pd.Series:
    made = runs.spend_forecasts(database, PROJECT, [AS_OF], SETTINGS, book=prices)
    daily = next(iter(made))[1]
    rows = daily[(daily["scope"] == scope) & (daily["metric"] == "cost_usd")]
    return rows.set_index("target_day")["p50"]


def test_a_price_that_will_be_halved_halves_the_cost_from_that_day(
    database: Database, tmp_path: Path
) -> None:
    day = date(2026, 10, 1)
    use(database, day)
    prices = book(tmp_path, day)
    plain = expected(database, None, "model=house-model")
    known = expected(database, prices, "model=house-model")
    before, after = plain.index < day, plain.index >= day
    assert known[before].to_numpy() == pytest.approx(plain[before].to_numpy(), rel=0.05)
    assert known[after].to_numpy() == pytest.approx(plain[after].to_numpy() / 2, rel=0.05)
    # gpt-4o costs half as much as the house model does now, so the total falls by a third.
    plain, known = expected(database, None, "total"), expected(database, prices, "total")
    assert (known[after] / plain[after]).mean() == pytest.approx(2 / 3, rel=0.05)


def test_a_price_that_was_halved_yesterday_is_no_fall_in_demand(
    database: Database, tmp_path: Path
) -> None:
    day = date(2026, 9, 14)
    use(database, day)
    known = expected(database, book(tmp_path, day), "model=house-model")
    working = known[[each.weekday() < 5 for each in known.index]]
    assert working.to_numpy() == pytest.approx(5.0, rel=0.15)
