"""Change points: dated, sized, not reported where there is none."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from llmops_jobs.forecast.change import Change
from llmops_jobs.versions.change_points import Panel, detect

START = date(2026, 1, 1)
Columns = dict[tuple[str, str], np.ndarray]


def _series(seed: int, days: int = 50, shift_at: int | None = None, shift: float = 0.0):
    rng = np.random.default_rng(seed)
    weekday = np.array([0, 0.05, 0.02, 0.04, 0, -0.2, -0.25])
    z = np.array([weekday[i % 7] for i in range(days)]) + rng.normal(0, 0.06, days)
    if shift_at is not None:
        z[shift_at:] += shift
    return np.exp(z)


def _panel(columns: Columns, relative: bool = True, trials: float = np.nan) -> Panel:
    values = np.column_stack(list(columns.values()))
    return Panel(
        days=[START + timedelta(days=i) for i in range(len(values))],
        keys=list(columns),
        values=values,
        trials=np.full(values.shape, trials),
        relative=np.full(len(columns), relative),
    )


def _detect(columns: Columns) -> list[Change]:
    return detect(_panel(columns), 0.05)


def test_a_lasting_rise_is_dated_and_sized() -> None:
    (change,) = _detect({("total", "m"): _series(1, shift_at=40, shift=np.log(1.5))})
    assert change.day == START + timedelta(days=40)
    assert change.low < 0.5 < change.high


def test_a_change_waits_until_three_days_have_seen_it() -> None:
    values = _series(1, shift_at=47, shift=np.log(1.5))
    assert _detect({("total", "m"): values[:49]}) == []
    (change,) = _detect({("total", "m"): values})
    assert change.day == START + timedelta(days=47)


def test_many_quiet_series_report_no_change() -> None:
    assert _detect({(f"model={seed}", "m"): _series(seed) for seed in range(200)}) == []


def test_a_single_bad_day_is_no_lasting_change() -> None:
    for at in (20, 30, 48, 49):
        values = _series(2)
        values[at] *= 8
        assert _detect({("total", "m"): values}) == []


def test_days_that_resemble_their_neighbours_are_no_change() -> None:
    rng = np.random.default_rng(4)
    columns = {}
    for number in range(100):
        walk = np.zeros(50)
        for i in range(1, 50):
            walk[i] = 0.6 * walk[i - 1] + rng.normal(0, 0.05)
        columns[f"model={number}", "m"] = np.exp(walk)
    assert len(_detect(columns)) <= 2


def test_a_rate_of_few_calls_is_uncertain_however_steady_it_was() -> None:
    # Forty days without an error, then three days with one error in forty calls, or a hundred in
    # four thousand.
    quiet = {(f"model={number}", "error_rate"): _series(number) * 0.01 for number in range(10)}
    rate = np.r_[np.full(7, np.nan), np.zeros(40), np.full(3, 0.025)]
    columns = {("model=m", "error_rate"): rate, **quiet}
    assert detect(_panel(columns, relative=False, trials=40.0), 0.05) == []
    (change,) = detect(_panel(columns, relative=False, trials=4000.0), 0.05)
    assert round(change.effect, 3) == 0.025


def test_a_flat_or_short_series_is_left_alone() -> None:
    assert _detect({("total", "m"): np.ones(40)}) == []
    assert _detect({("total", "m"): np.arange(1.0, 6.0)}) == []


def test_missing_days_and_weekdays_that_never_came_are_no_trouble() -> None:
    values = _series(5, days=56, shift_at=40, shift=0.5)
    values[[i for i in range(56) if (START + timedelta(days=i)).weekday() == 6]] = np.nan
    (change,) = _detect({("total", "m"): values})
    assert abs((change.day - START).days - 40) <= 1


def test_series_of_unlike_days_are_looked_at_together() -> None:
    late = _series(6, shift_at=45, shift=0.5)
    late[:20] = np.nan
    columns = {("a", "m"): _series(7), ("b", "m"): late, ("c", "m"): np.full(50, np.nan)}
    assert [change.scope for change in _detect(columns)] == ["b"]


def test_one_change_is_found_among_a_hundred_quiet_series() -> None:
    columns = {(f"model={seed}", "m"): _series(seed) for seed in range(100)}
    columns["total", "m"] = _series(7, shift_at=44, shift=0.4)
    assert [change.scope for change in _detect(columns)] == ["total"]
