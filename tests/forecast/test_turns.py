"""Turns of daily spend: a new level, a new trend, since when."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from llmops_jobs.deployment import Deployment
from llmops_jobs.forecast.change import Change
from llmops_jobs.forecast.turns import detect
from llmops_jobs.store import Database
from llmops_jobs.versions.nightly import changes_of, record_changes
from llmops_jobs.versions.series import Series
from tests.forecast.usage import FIRST, PROJECT, store, usage

DAYS = [FIRST + timedelta(days=number) for number in range(56)]


def course(series: int = 1, *, seed: int = 4, noise: float = 0.08, memory: float = 0.3):
    """Logs of daily amounts with weekends and noise that remembers the day before."""
    random = np.random.default_rng(seed)
    shock = noise * random.standard_normal((56, series))
    for day in range(1, 56):
        shock[day] += memory * shock[day - 1]
    return 4.0 + shock + np.where(np.arange(56) % 7 >= 5, -0.5, 0.0)[:, None]


def found(log: np.ndarray, rate: float = 0.05) -> list[Change]:
    keys = [(f"tenant={number}", "cost_usd") for number in range(log.shape[1])]
    return detect(DAYS[: len(log)], keys, np.exp(log), rate)


def test_a_new_level_is_found_with_its_day_and_size() -> None:
    log = course()
    log[-12:] += np.log(1.6)
    (turn,) = found(log)
    assert (turn.metric, turn.day) == ("cost_usd", DAYS[-12])
    assert turn.low < 0.6 < turn.high
    assert turn.value / turn.expected == pytest.approx(1 + turn.effect)


def test_a_new_trend_is_found_with_its_day_and_growth() -> None:
    log = course()
    log[-21:] += np.log(1.3) / 7 * np.arange(1, 22)[:, None]
    (turn,) = found(log)
    assert turn.metric == "cost_usd_growth"
    assert abs((turn.day - DAYS[-21]).days) <= 3
    assert turn.expected == pytest.approx(0.0, abs=0.05)
    assert turn.value == pytest.approx(0.3, abs=0.1)
    assert turn.low < turn.value - turn.expected < turn.high


def test_growth_that_goes_on_is_no_turn() -> None:
    assert found(course() + 0.03 * np.arange(56)[:, None]) == []


def test_hundreds_of_quiet_series_have_no_turn_and_the_one_that_turned_is_named() -> None:
    log = course(300, seed=8)
    assert len(found(log)) <= 1
    log[-15:, 200] += np.log(2)
    assert "tenant=200" in {turn.scope for turn in found(log)}


def test_levels_that_wander_are_seldom_called_turned() -> None:
    alarms = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        log = np.cumsum(0.03 * random.standard_normal((56, 1)), axis=0) + 4
        alarms += len(found(log + 0.05 * random.standard_normal((56, 1))))
    assert alarms <= 15


def test_days_that_are_missing_or_empty_are_passed_over() -> None:
    amounts = np.exp(course())
    amounts[-12:] *= 1.8
    amounts[[10, 20, 30]] = np.nan
    amounts[-3] = 0.0
    (turn,) = detect(DAYS, [("total", "tokens")], amounts, 0.05)
    assert turn.day == DAYS[-12]


@pytest.mark.parametrize("amounts", [np.zeros((56, 2)), np.full((56, 2), 3.0), np.ones((5, 2))])
def test_what_has_no_course_has_no_turn(amounts: np.ndarray) -> None:
    keys = [("a", "cost_usd"), ("b", "cost_usd")]
    assert detect(DAYS[: len(amounts)], keys, amounts, 0.05) == []


def test_a_night_stores_the_turn_of_spend_once_with_its_day(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
    deployment = Deployment.from_environment()
    rows, since = usage(56), date(2026, 9, 14)
    moved = rows["day"] >= since
    rows["cost_usd"] = [
        cost * 2 if there else cost for cost, there in zip(rows["cost_usd"], moved, strict=True)
    ]
    deployment.database.create()
    store(deployment.database, rows)
    last = DAYS[-1]
    series = Series(deployment, PROJECT, last - timedelta(days=4), last)
    for back in range(4, -1, -1):
        night = last - timedelta(days=back)
        found_then = changes_of(deployment, series, [], PROJECT, night)
        record_changes(deployment.database, PROJECT, night, found_then)
    stored = deployment.database.table("change_point", PROJECT)
    spend = stored[(stored["metric"] == "cost_usd") & (stored["scope"] == "total")]
    assert list(spend["day"]) == [since]
    assert float(spend["effect"].iloc[0]) == pytest.approx(1.0, abs=0.2)
    assert spend["detected_on"].iloc[0] < last
