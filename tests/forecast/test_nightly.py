"""From `usage_daily` to the four tables."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.errors import ConfigError
from llmops_jobs.forecast import runs
from llmops_jobs.forecast.history import read_history
from llmops_jobs.forecast.holidays import read_holidays
from llmops_jobs.forecast.nightly import Forecaster
from llmops_jobs.forecast.settings import ForecastSettings
from llmops_jobs.store import Database
from tests.forecast.usage import FIRST, PROJECT, nights, row, store, usage

SETTINGS = ForecastSettings(paths=200, small_share=0.9)


def forecast(database: Database, days: list[date]) -> dict[date, tuple[pd.DataFrame, pd.DataFrame]]:
    """Runs and stores the nights as the asset does."""
    made = {}
    for as_of, daily, periods in runs.spend_forecasts(database, PROJECT, days, SETTINGS):
        database.replace_day("spend_forecast", PROJECT, as_of, daily)
        made[as_of] = (daily, periods)
    return made


def test_every_scope_is_forecast_to_the_end_of_next_month(database: Database) -> None:
    store(database, usage(40))
    as_of = nights(39, 1)[0]  # 9 September
    daily, _ = forecast(database, [as_of])[as_of]
    assert set(daily["target_day"]) == {
        as_of + timedelta(days=n) for n in range(1, (date(2026, 10, 31) - as_of).days + 1)
    }
    scopes = set(daily[daily["metric"] == "cost_usd"]["scope"])
    assert {"total", "model=gpt-4o", "feature=rag-answer", "tenant=initech"} <= scopes
    assert "environment=production" in scopes
    assert {"tokens", "input_tokens", "output_tokens", "cache_read_tokens"} <= set(daily["metric"])


def test_the_parts_of_every_dimension_add_up_to_the_total_in_every_path(database: Database) -> None:
    store(database, usage(40))
    as_of = nights(39, 1)[0]
    history = read_history(database, PROJECT, as_of, 400)
    night = Forecaster(history, SETTINGS).night(as_of, 30)
    assert night is not None
    for metric in ("cost_usd", "tokens"):
        total = night.paths(metric, "total")
        for dimension in ("model", "feature", "tenant", "environment"):
            inside = [m == metric and s.startswith(f"{dimension}=") for m, s in night.keys]
            assert sum(inside) > 0
            np.testing.assert_allclose(night.values[inside].sum(axis=0), total, rtol=1e-5)


def test_a_backfill_repeats_the_single_night_byte_for_byte(database: Database) -> None:
    store(database, usage(50))
    days = nights(36, 10)
    together = forecast(database, days)
    for as_of in (days[0], days[4], days[9]):
        alone = forecast(database, [as_of])[as_of]
        for one, other in zip(together[as_of], alone, strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_nothing_after_the_night_is_read(database: Database) -> None:
    store(database, usage(40))
    as_of = nights(30, 1)[0]
    before = forecast(database, [as_of])[as_of][0]
    later = usage(60)
    store(database, later[later["day"] > as_of].assign(input_tokens=10**9))
    pd.testing.assert_frame_equal(before, forecast(database, [as_of])[as_of][0], check_exact=True)


def test_evaluation_is_a_scope_of_its_own_and_not_in_the_total(database: Database) -> None:
    rows = usage(30)
    judge = [row(day, 5e6, is_evaluation=True, feature="judge") for day in set(rows["day"])]
    store(database, rows)
    as_of = nights(29, 1)[0]
    plain = forecast(database, [as_of])[as_of][0]
    store(database, pd.DataFrame(judge))
    daily = forecast(database, [as_of])[as_of][0]
    total = daily[(daily["scope"] == "total") & (daily["metric"] == "cost_usd")]
    without = plain[(plain["scope"] == "total") & (plain["metric"] == "cost_usd")]
    np.testing.assert_allclose(total["mean"].to_numpy(), without["mean"].to_numpy())
    assert "is_evaluation=true" in set(daily["scope"])
    assert "feature=judge" not in set(daily["scope"])


def test_the_month_is_what_was_spent_and_what_will_be(database: Database) -> None:
    store(database, usage(40))
    as_of = nights(39, 1)[0]
    daily, periods = forecast(database, [as_of])[as_of]
    month = periods[
        (periods["period"] == "2026-09")
        & (periods["scope"] == "total")
        & (periods["metric"] == "cost_usd")
    ].iloc[0]
    spent = usage(40).query("day >= @begin", local_dict={"begin": date(2026, 9, 1)})["cost_usd"]
    ahead = daily[(daily["scope"] == "total") & (daily["metric"] == "cost_usd")]
    ahead = ahead[[day < date(2026, 10, 1) for day in ahead["target_day"]]]
    assert month["to_date"] == pytest.approx(float(spent.sum()))
    assert month["mean"] == pytest.approx(float(spent.sum()) + ahead["mean"].sum(), rel=1e-6)
    assert month["p10"] < month["p50"] < month["p90"]


def test_days_that_were_not_copied_are_guessed_and_told(database: Database) -> None:
    gone = [date(2026, 9, 3), date(2026, 9, 4)]
    store(database, usage(40), missing=gone)
    as_of = nights(39, 1)[0]
    _, periods = forecast(database, [as_of])[as_of]
    month = periods[(periods["period"] == "2026-09") & (periods["scope"] == "total")]
    assert set(month["days_missing"]) == {2}


def test_a_project_without_usage_has_no_forecast(database: Database) -> None:
    as_of = FIRST
    daily, periods = forecast(database, [as_of])[as_of]
    assert daily.empty
    assert periods.empty


def test_the_small_ones_are_one_scope_together(database: Database) -> None:
    rows = [row(day, 1000.0, tenant=f"tenant-{n}") for day in nights(0, 20) for n in range(12)]
    store(database, pd.DataFrame(rows))
    settings = ForecastSettings(paths=200, scopes_per_dimension=5)
    as_of = nights(19, 1)[0]
    (_, daily, _), *_ = runs.spend_forecasts(database, PROJECT, [as_of], settings)
    tenants = {scope for scope in daily["scope"] if scope.startswith("tenant=")}
    assert len(tenants) == 6
    assert "tenant=(other)" in tenants


def test_a_holiday_ahead_is_what_past_holidays_were(database: Database, tmp_path: Path) -> None:
    past, ahead = [date(2026, 8, 12), date(2026, 8, 27)], date(2026, 9, 16)
    rows = usage(40)
    quiet = rows["day"].isin(past)
    for name in ("input_tokens", "output_tokens"):
        rows.loc[quiet, name] = rows.loc[quiet, name] // 4
    store(database, rows)
    file = tmp_path / "holidays.txt"
    file.write_text("\n".join(f"{day}  # closed" for day in [*past, ahead]))
    settings = SETTINGS.model_copy(update={"holidays": str(file)})
    as_of = nights(39, 1)[0]
    medians = []
    for chosen in (SETTINGS, settings):
        (_, daily, _), *_ = runs.spend_forecasts(database, PROJECT, [as_of], chosen)
        total = daily[(daily["scope"] == "total") & (daily["metric"] == "tokens")]
        medians.append(total.set_index("target_day")["p50"])
    plain, known = medians
    assert known[ahead] < 0.55 * plain[ahead]
    other = ahead + timedelta(days=1)
    assert known[other] == pytest.approx(plain[other], rel=0.15)


def test_a_wrong_date_among_the_holidays_is_named(tmp_path: Path) -> None:
    file = tmp_path / "holidays.txt"
    file.write_text("2026-12-25\n25.12.2027\n")
    with pytest.raises(ConfigError, match=r"line 2: '25.12.2027'"):
        read_holidays(str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_holidays(str(tmp_path / "none.txt"))
