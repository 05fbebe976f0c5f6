"""Stored forecasts against what came: scores, calibration, anomalies."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.forecast import runs
from llmops_jobs.forecast.anomalies import p_values
from llmops_jobs.forecast.calibration import Calibration
from llmops_jobs.forecast.checks import lost_calibration, unsound_forecasts
from llmops_jobs.forecast.frames import LEVELS, QUANTILES
from llmops_jobs.forecast.history import read_history
from llmops_jobs.forecast.scorecard import HORIZONS
from llmops_jobs.forecast.settings import ForecastSettings
from llmops_jobs.store import Database
from tests.forecast.usage import FIRST, PROJECT, nights, row, store, usage

SETTINGS = ForecastSettings(paths=200, small_share=0.9)
DAYS = 60
TODAY = FIRST + timedelta(days=DAYS - 1)
_Z = np.array([-1.960, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.960])


def history_of(database: Database, width: float, seed: int = 1) -> None:
    """Usage that is 5 USD a day with a spread of 10 %, and stored forecasts of the total that say
    so with intervals `width` times as wide."""
    random = np.random.default_rng(seed)
    rows = [
        row(day, 1e6 * float(np.exp(0.1 * random.standard_normal()))) for day in nights(0, DAYS)
    ]
    store(database, pd.DataFrame(rows))
    for as_of in nights(0, DAYS):
        forecasts = [
            {
                "scope": "total",
                "metric": "cost_usd",
                "target_day": as_of + timedelta(days=ahead),
                "horizon": ahead,
                "mean": 5.0,
                "widened": 1.0,
                "method": "by hand",
            }
            | dict(zip(QUANTILES, 5.0 * np.exp(0.1 * width * _Z), strict=True))
            for ahead in HORIZONS
        ]
        database.replace_day("spend_forecast", PROJECT, as_of, pd.DataFrame(forecasts))


def card(database: Database) -> pd.Series:
    rows = dict(runs.forecast_scores(database, PROJECT, [TODAY]))[TODAY]
    database.replace_day("forecast_score", PROJECT, TODAY, rows)
    return rows[rows["window"] == 30].iloc[0]


def test_the_score_card_counts_what_the_intervals_held(database: Database) -> None:
    history_of(database, 1.0)
    rows = card(database)
    assert rows["nights"] == 30
    assert rows["n"] == 30 * len(HORIZONS)
    assert rows["coverage_80"] == pytest.approx(0.8, abs=0.15)
    assert rows["coverage_50"] < rows["coverage_80"] < rows["coverage_95"] <= 1
    assert rows["mase"] < 1  # the mean of the past beats last week's day
    assert abs(rows["bias"]) < 0.05
    assert lost_calibration(database, TODAY) == []


def test_the_weighted_interval_score_is_that_of_its_definition(database: Database) -> None:
    history_of(database, 1.0)
    rows = card(database)
    spent = database.table("usage_daily", PROJECT)
    came = [
        float(v)
        for d, v in zip(spent["day"], spent["cost_usd"], strict=True)
        if d > TODAY - timedelta(days=30)
    ]
    q = 5.0 * np.exp(0.1 * _Z)
    expected = []
    for y in came:
        total = 0.5 * abs(y - q[3])
        for at, alpha in ((0, 0.05), (1, 0.2), (2, 0.5)):
            low, high = q[at], q[6 - at]
            width = high - low + 2 / alpha * (max(low - y, 0) + max(y - high, 0))
            total += alpha / 2 * width
        expected.append(total / 3.5)
    assert rows["wis"] == pytest.approx(float(np.mean(expected)), rel=1e-6)


def test_a_forecaster_that_is_too_sure_fails_the_check_and_says_so(database: Database) -> None:
    history_of(database, 0.2)
    assert card(database)["coverage_80"] < 0.4
    told = lost_calibration(database, TODAY)
    assert ["80 % interval held" in told[0], "95 % interval held" in told[1]] == [True, True]


@pytest.mark.parametrize(
    ("width", "low", "high"), [(0.4, 1.6, 2.5), (1.0, 0.75, 1.3), (2.0, 0.6, 0.75)]
)
def test_intervals_that_were_too_narrow_are_widened_and_the_other_way_round(
    database: Database, width: float, low: float, high: float
) -> None:
    history_of(database, width)
    history = read_history(database, PROJECT, TODAY, 120)
    factor = Calibration(database, history, TODAY).factors(TODAY)["cost_usd", "total"]
    assert low <= factor <= high


def test_a_day_that_was_not_copied_is_not_scored(database: Database) -> None:
    history_of(database, 1.0)
    gone = TODAY - timedelta(days=3)
    for table in ("usage_daily", "pull"):
        database.replace_day(table, PROJECT, gone, pd.DataFrame())
    assert card(database)["nights"] == 29


def test_crossing_and_negative_quantiles_are_counted(database: Database) -> None:
    history_of(database, 1.0)
    assert unsound_forecasts(database, FIRST, TODAY) == 0
    rows = database.table("spend_forecast", PROJECT, as_of=TODAY).head(2)
    rows = rows.assign(p10=[99.0, 5.0], p025=[1.0, -1.0])
    database.upsert("spend_forecast", rows)
    assert unsound_forecasts(database, FIRST, TODAY) == 2


def test_p_values_are_uniform_when_the_forecast_is_right() -> None:
    from scipy.stats import t

    random = np.random.default_rng(4)
    scale = 0.1
    quantiles = 5 * np.exp(scale * t.ppf(LEVELS, 5))
    actual = 5 * np.exp(scale * t.rvs(5, size=4000, random_state=random))
    found = p_values(actual, np.broadcast_to(quantiles, (4000, 7)))
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (found <= level).mean() == pytest.approx(level, abs=0.035)


def test_a_runaway_tenant_is_found_with_its_cause_and_nothing_else_is(database: Database) -> None:
    rows = usage(48)
    last = rows["day"].max()
    wild = rows[(rows["day"] == last) & (rows["tenant"] == "initech")].copy()
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cost_usd"):
        rows.loc[wild.index, name] = wild[name] * 25
    store(database, rows)
    days = nights(40, 8)
    for as_of, daily, _ in runs.spend_forecasts(database, PROJECT, days[:-1], SETTINGS):
        database.replace_day("spend_forecast", PROJECT, as_of, daily)
    found = dict(runs.night_anomalies(database, PROJECT, days, SETTINGS))
    assert all(found[day].empty for day in days[1:-1])
    night = found[last]
    tenant = night[(night["scope"] == "tenant=initech") & (night["metric"] == "tokens")].iloc[0]
    assert tenant["kind"] == "spike"
    assert tenant["value"] > tenant["high"] > tenant["expected"]
    assert tenant["p_value"] < 0.05
    total = night[(night["scope"] == "total") & (night["metric"] == "tokens")].iloc[0]
    assert "tenant=initech" in total["cause"]
    assert "tenant=acme" not in set(night["scope"])


def test_a_new_tenant_with_weight_is_told_once(database: Database) -> None:
    rows = usage(40)
    last = rows["day"].max()
    arrived = [row(last - timedelta(days=n), 9e5, tenant="newcomer") for n in (0, 1)]
    store(database, pd.concat([rows, pd.DataFrame(arrived)]))
    days = [last - timedelta(days=1), last]
    found = dict(runs.night_anomalies(database, PROJECT, days, SETTINGS))
    first = found[days[0]]
    assert list(first[first["scope"] == "tenant=newcomer"]["kind"]) == ["new"]
    assert found[days[1]].empty or "tenant=newcomer" not in set(found[days[1]]["scope"])


def test_a_night_whose_day_was_not_copied_has_no_anomalies(database: Database) -> None:
    missing = date(2026, 9, 9)
    store(database, usage(45), missing=[missing])
    days = [missing - timedelta(days=1), missing]
    for as_of, daily, _ in runs.spend_forecasts(database, PROJECT, days, SETTINGS):
        database.replace_day("spend_forecast", PROJECT, as_of, daily)
    assert dict(runs.night_anomalies(database, PROJECT, days, SETTINGS))[missing].empty


def test_a_new_scope_has_the_interval_that_young_scopes_turned_out_to_need(
    database: Database,
) -> None:
    """One tenant is old and well foretold; two that came lately were not; a third comes today."""
    random = np.random.default_rng(3)
    rows, came = [], {"old": 0, "young-1": DAYS - 15, "young-2": DAYS - 13, "newest": DAYS - 1}
    for tenant, first in came.items():
        spread = 0.1 if tenant == "old" else 0.4
        for day in nights(first, DAYS - first):
            tokens = 1e6 * float(np.exp(spread * random.standard_normal()))
            rows.append(row(day, tokens, tenant=tenant))
    store(database, pd.DataFrame(rows))
    for as_of in nights(0, DAYS):
        forecasts = [
            {
                "scope": f"tenant={tenant}",
                "metric": "cost_usd",
                "target_day": as_of + timedelta(days=ahead),
                "horizon": ahead,
                "mean": 5.0,
                "widened": 1.0,
                "method": "by hand",
            }
            | dict(zip(QUANTILES, 5.0 * np.exp(0.1 * _Z), strict=True))
            for tenant in ("old", "young-1", "young-2")
            if nights(came[tenant], 1)[0] <= as_of
            for ahead in HORIZONS
        ]
        database.replace_day("spend_forecast", PROJECT, as_of, pd.DataFrame(forecasts))
    history = read_history(database, PROJECT, TODAY, 120)
    factors = Calibration(database, history, TODAY).factors(TODAY)
    assert factors["cost_usd", "tenant=newest"] > 1.5
    assert factors["cost_usd", "tenant=old"] < 1.3
