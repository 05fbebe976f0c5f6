"""Budgets: what was spent, where it ends, and what is refused."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from llmops_jobs.config import load
from llmops_jobs.errors import ConfigError
from llmops_jobs.forecast import runs
from llmops_jobs.forecast.settings import Budget, ForecastSettings
from llmops_jobs.store import Database
from tests.forecast.usage import PROJECT, nights, row, store, usage

SETTINGS = ForecastSettings(paths=200, small_share=0.9)
AS_OF = date(2026, 9, 15)


def budget(amount: float | str, **values: Any) -> Budget:
    return Budget(name="a budget", amount=Decimal(str(amount)), **values)


def status(database: Database, *budgets: Budget, as_of: date = AS_OF) -> list[dict[str, Any]]:
    made = runs.budget_statuses(database, PROJECT, [as_of], SETTINGS, budgets)
    return next(iter(made))[1].to_dict("records")


@pytest.fixture
def spend(database: Database) -> float:
    """45 days of usage are stored; what September cost until the night."""
    rows = usage(50)
    store(database, rows)
    september = [date(2026, 9, 1) <= day <= AS_OF for day in rows["day"]]
    return float(rows[september]["cost_usd"].sum())


def test_a_budget_that_is_far_away_and_one_that_is_near(database: Database, spend: float) -> None:
    wide, near, gone = status(database, budget(1000), budget(2 * spend), budget(spend / 2))
    assert wide["spent_usd"] == pytest.approx(spend)
    assert (wide["status"], wide["probability_over"], wide["exhausted_on"]) == ("ok", 0.0, None)
    assert "On course" in wide["advice"]
    assert 0 < near["probability_over"] < 1
    assert near["forecast_p10_usd"] < near["forecast_p50_usd"] < near["forecast_p90_usd"]
    assert (gone["status"], gone["probability_over"]) == ("over", 1.0)
    assert date(2026, 9, 1) < gone["exhausted_on"] <= AS_OF
    assert gone["threshold"] == 1.0
    assert near["burn_rate"] == pytest.approx(1.0, rel=0.05)  # half spent, half gone


def test_a_budget_that_will_not_last_says_when_and_what_would_help(
    database: Database, spend: float
) -> None:
    (row,) = status(database, budget(1.5 * spend))
    assert row["status"] == "at_risk"
    assert AS_OF < row["exhausted_on"] < date(2026, 9, 30)
    assert "spend at most $" in row["advice"]
    assert "% less than" in row["advice"]


def test_at_risk_begins_at_the_probability_that_is_set(database: Database, spend: float) -> None:
    (likely,) = status(database, budget(2 * spend))
    probability = likely["probability_over"]
    eager, calm = status(
        database,
        budget(2 * spend, at_risk=max(probability - 0.01, 0.01)),
        budget(2 * spend, at_risk=min(probability + 0.01, 0.99)),
    )
    assert (eager["status"], calm["status"]) == ("at_risk", "ok")


def test_on_the_last_day_of_the_period_the_result_is_told(database: Database) -> None:
    rows = usage(61)
    store(database, rows)
    last = date(2026, 9, 30)
    month = float(rows[[day.month == 9 for day in rows["day"]]]["cost_usd"].sum())
    within, over = status(database, budget(month + 1), budget(month - 1), as_of=last)
    assert (within["status"], within["probability_over"]) == ("ok", 0.0)
    assert "ended within budget" in within["advice"]
    assert (over["status"], over["probability_over"]) == ("over", 1.0)
    assert "ended over budget" in over["advice"]


def test_a_scope_that_was_never_used_is_no_data_with_the_nearest_name(
    database: Database, spend: float
) -> None:
    (row,) = status(database, budget(10, scope="feature=rag-anser"))
    assert (row["status"], row["probability_over"]) == ("no_data", None)
    assert "feature=rag-answer" in row["advice"]


def test_a_budget_on_a_dimension_that_is_not_forecast_otherwise(
    database: Database, spend: float
) -> None:
    provider, prompt = status(
        database,
        budget(1000, scope="provider=openai"),
        budget(1000, scope="prompt_name=rag-answer"),
    )
    assert provider["spent_usd"] == pytest.approx(spend)
    assert 0 < prompt["spent_usd"] < spend


def test_a_week_in_new_york_counts_the_part_of_the_utc_days_that_is_its_own(
    database: Database,
) -> None:
    store(database, pd.DataFrame([row(day, 1e6) for day in nights(0, 46)]))  # 5 USD a day
    utc, there = status(
        database,
        budget(100, period="week"),
        budget(100, period="week", time_zone="America/New_York"),
    )
    assert utc["spent_usd"] == pytest.approx(10.0)  # Monday and Tuesday
    assert there["spent_usd"] == pytest.approx(10.0 - 5.0 * 4 / 24)


def test_spend_includes_credits_though_the_forecast_does_not(database: Database) -> None:
    rows = [row(day, 1e6) for day in nights(0, 46)]
    refund = row(AS_OF - timedelta(days=2), 0.0, feature="refund")
    refund["cost_usd"] = Decimal("-20")
    store(database, pd.DataFrame([*rows, refund]))
    (found,) = status(database, budget(500))
    assert found["spent_usd"] == pytest.approx(15 * 5 - 20)
    assert found["forecast_p10_usd"] > found["spent_usd"]


def test_a_quarter_counts_all_of_its_days_however_short_the_history_of_a_forecast(
    database: Database,
) -> None:
    store(database, pd.DataFrame([row(day, 1e6) for day in nights(0, 46)]))  # from 1 August
    brief = SETTINGS.model_copy(update={"history_days": 28})
    (_, rows), *_ = runs.budget_statuses(
        database, PROJECT, [AS_OF], brief, [budget(1000, period="quarter")]
    )
    found = rows.iloc[0]
    assert (found["period_start"], found["period_end"]) == (date(2026, 7, 1), date(2026, 10, 1))
    assert found["spent_usd"] == pytest.approx(46 * 5.0)
    assert found["forecast_p50_usd"] == pytest.approx((46 + 15) * 5.0, rel=0.02)


def test_a_month_with_a_change_of_clock_is_an_hour_of_spend_longer(database: Database) -> None:
    store(database, pd.DataFrame([row(day, 1e6) for day in nights(0, 107)]))  # 5 USD a day
    as_of = date(2026, 11, 15)
    (found,) = status(database, budget(1000, time_zone="America/New_York"), as_of=as_of)
    # From 1 November 04:00 UTC (summer time) to 1 December 05:00 UTC (winter time).
    assert found["spent_usd"] == pytest.approx(5.0 * (15 - 4 / 24))
    ahead = found["forecast_p50_usd"] - found["spent_usd"]
    assert ahead == pytest.approx(5.0 * (15 + 5 / 24), rel=0.02)


def test_budgets_in_two_currencies_are_both_judged_in_dollars(
    database: Database, spend: float
) -> None:
    dollars, euros = status(
        database,
        budget(1.1 * spend),
        budget(spend, currency="EUR", usd_per_unit=Decimal("1.1")),
    )
    assert float(euros["amount_usd"]) == pytest.approx(float(dollars["amount_usd"]))
    for name in ("spent_usd", "probability_over", "exhausted_on", "status"):
        assert euros[name] == dollars[name]


@pytest.mark.parametrize("spent", [0.0, 1e-9, 1e12])
def test_amounts_of_any_size_have_a_status_and_an_interval_with_a_width(
    database: Database, spent: float
) -> None:
    rows = pd.DataFrame([row(day, 1e6) for day in nights(0, 46)])
    rows["cost_usd"] = [Decimal(repr(spent)) for _ in range(len(rows))]
    store(database, rows)
    (found,) = status(database, budget(100))
    assert found["status"] == ("over" if spent > 1 else "ok")
    assert found["forecast_p10_usd"] < found["forecast_p90_usd"]
    assert found["spent_usd"] == pytest.approx(15 * spent)


def test_a_day_of_ten_to_the_twelve_is_spent_but_not_expected_again(database: Database) -> None:
    rows = pd.DataFrame([row(day, 1e6) for day in nights(0, 46)])
    rows.loc[rows["day"] == AS_OF - timedelta(days=8), "cost_usd"] = Decimal(10) ** 12
    store(database, rows)
    (found,) = status(database, budget(100))
    assert found["status"] == "over"
    assert found["forecast_p90_usd"] - found["spent_usd"] < 1000


def test_a_day_that_was_not_copied_is_guessed_and_told(database: Database) -> None:
    gone = AS_OF - timedelta(days=1)
    store(database, pd.DataFrame([row(day, 1e6) for day in nights(0, 46)]), missing=[gone])
    (found,) = status(database, budget(1000))
    assert found["spent_usd"] == pytest.approx(14 * 5.0)
    assert found["forecast_p50_usd"] == pytest.approx(30 * 5.0, rel=0.02)
    assert "1 day is not copied yet, guessed at $5.00" in found["advice"]


def test_another_currency_needs_its_price_in_dollars() -> None:
    with pytest.raises(ValidationError, match="usd_per_unit"):
        budget(100, currency="EUR")
    assert budget(100, currency="EUR", usd_per_unit=Decimal("1.1")).amount_usd == Decimal("110.0")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("amount: -5", "greater than 0"),
        ("amount: .nan", "finite"),
        ("amount: 5, scope: tenannt=acme", "tenant"),
        ("amount: 5, scope: everything", "total"),
        ("amount: 5, time_zone: Europe/Atlantis", "Europe/Berlin"),
        ("amount: 5, period: fortnight", "month"),
        ("amount: 5, currency: EUR", "usd_per_unit"),
        ("amount: 5, thresholds: [-1]", "0.8"),
    ],
)
def test_a_wrong_budget_is_refused_by_name_before_anything_runs(
    tmp_path: Path, line: str, message: str
) -> None:
    file = tmp_path / "llmops.yaml"
    file.write_text(f"budgets: [{{name: b, {line}}}]")
    with pytest.raises(ConfigError, match=message) as refused:
        load({"LLMOPS_CONFIG": str(file)})
    assert "budgets" in str(refused.value)
