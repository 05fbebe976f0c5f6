"""Change points: dated, sized, not reported where there is none."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from llmops_jobs.versions.change_points import detect

START = date(2026, 1, 1)


def _series(seed: int, days: int = 50, shift_at: int | None = None, shift: float = 0.0) -> tuple:
    rng = np.random.default_rng(seed)
    weekday = np.array([0, 0.05, 0.02, 0.04, 0, -0.2, -0.25])
    z = np.array([weekday[i % 7] for i in range(days)]) + rng.normal(0, 0.06, days)
    if shift_at is not None:
        z[shift_at:] += shift
    return [START + timedelta(days=i) for i in range(days)], np.exp(z)


def _detect(series: dict) -> list:
    return detect(series, relative=frozenset({"m"}), false_discovery_rate=0.1, seed=1)


def test_a_lasting_rise_is_dated_and_sized() -> None:
    changes = _detect({("total", "m"): _series(1, shift_at=40, shift=np.log(1.5))})
    assert len(changes) == 1
    assert abs((changes[0].day - START).days - 40) <= 1
    assert changes[0].low < 0.5 < changes[0].high


def test_many_quiet_series_report_few_changes() -> None:
    quiet = {(f"model={seed}", "m"): _series(seed) for seed in range(60)}
    assert len(_detect(quiet)) <= 3


def test_a_single_bad_day_is_no_lasting_change() -> None:
    days, values = _series(2)
    values[30] *= 8
    assert _detect({("total", "m"): (days, values)}) == []


def test_a_flat_or_short_series_is_left_alone() -> None:
    days = [START + timedelta(days=i) for i in range(40)]
    assert _detect({("total", "m"): (days, np.ones(40))}) == []
    assert _detect({("total", "m"): (days[:5], np.arange(1.0, 6.0))}) == []


def test_the_same_night_gives_the_same_numbers() -> None:
    series = {("total", "m"): _series(3, shift_at=30, shift=0.5)}
    assert _detect(series) == _detect(series)


def test_one_change_is_found_among_a_hundred_quiet_series() -> None:
    series = {(f"model={seed}", "m"): _series(seed) for seed in range(100)}
    series["total", "m"] = _series(7, shift_at=44, shift=0.4)
    found = _detect(series)
    assert "total" in {change.scope for change in found}
    assert len(found) <= 5
