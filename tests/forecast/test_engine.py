"""The forecast as a pure function."""

from __future__ import annotations

import numpy as np
import pytest

from llmops_jobs.forecast import engine, spread
from llmops_jobs.forecast.frames import quantiles

HORIZON = 30


def weekly(days: int, series: int = 1, *, noise: float = 0.1, seed: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    weekday = np.where(np.arange(days) % 7 >= 5, 0.6, 1.0)[:, None]
    return 100 * weekday * np.exp(noise * random.standard_normal((days, series)))


def spread_of(amounts: np.ndarray, **options: object) -> np.ndarray:
    names = [f"series {number}" for number in range(amounts.shape[1])]
    return quantiles(engine.forecast(amounts, names, HORIZON, seed=1, **options).values)  # type: ignore[arg-type]


def test_a_weekly_series_is_forecast_with_its_weekend() -> None:
    q = spread_of(weekly(140))
    middle = q[3, 0]
    weekday = (140 + np.arange(HORIZON)) % 7
    assert middle[weekday < 5].mean() == pytest.approx(100, rel=0.1)
    assert middle[weekday >= 5].mean() == pytest.approx(60, rel=0.1)


def test_the_intervals_hold_what_they_promise() -> None:
    amounts = weekly(200, 60, seed=11)
    q = spread_of(amounts[:-HORIZON])
    came = amounts[-HORIZON:].T
    inside = ((came >= q[1]) & (came <= q[5])).mean()
    assert 0.75 < inside < 0.93


@pytest.mark.parametrize("days", [1, 2, 7, 20, 27, 28, 56, 365])
def test_every_length_of_history_gets_an_ordered_interval_of_some_width(days: int) -> None:
    q = spread_of(weekly(days))
    assert np.isfinite(q).all()
    assert (q >= 0).all()
    assert (np.diff(q, axis=0) >= 0).all()
    assert (q[5] > q[1]).all()


def test_a_shorter_history_has_a_wider_interval() -> None:
    def width(days: int) -> float:
        q = spread_of(weekly(days))
        return float((q[5] / q[1]).mean())

    assert width(3) > width(14) > width(140)


def test_a_runaway_day_last_week_leaves_the_forecast_where_it_was() -> None:
    amounts = weekly(140)
    plain = spread_of(amounts)[3].mean()
    amounts[-3] *= 20
    assert spread_of(amounts)[3].mean() == pytest.approx(plain, rel=0.1)


def test_a_jump_on_the_newest_day_widens_the_interval_upwards() -> None:
    amounts = weekly(140)
    before = spread_of(amounts)
    amounts[-1] *= 5
    after = spread_of(amounts)
    assert after[5].mean() > 2 * before[5].mean()
    assert after[3].mean() == pytest.approx(before[3].mean(), rel=0.25)


def test_a_new_level_ten_days_old_is_the_level_forecast() -> None:
    amounts = weekly(140)
    amounts[-10:] *= 3
    result = engine.forecast(amounts, ["a"], HORIZON, seed=1)
    assert result.shift.age[0] == 10
    assert np.exp(result.shift.size[0]) == pytest.approx(3, rel=0.1)
    assert np.median(result.values) == pytest.approx(3 * np.median(amounts[:-10]), rel=0.2)


def test_a_missing_day_is_not_a_zero() -> None:
    amounts = weekly(140)
    gaps, zeros = amounts.copy(), amounts.copy()
    gaps[-9:-5] = np.nan
    zeros[-9:-5] = 0.0
    plain = spread_of(amounts)[3].mean()
    assert spread_of(gaps)[3].mean() == pytest.approx(plain, rel=0.05)
    assert spread_of(zeros)[3].mean() == pytest.approx(plain, rel=0.1)  # an outage: set aside


def test_the_same_seed_gives_the_same_bytes_with_whatever_else_is_forecast() -> None:
    amounts = weekly(140, 6)
    names = [f"series {number}" for number in range(6)]
    together = engine.forecast(amounts, names, HORIZON, seed=7).values
    again = engine.forecast(amounts, names, HORIZON, seed=7).values
    assert together.tobytes() == again.tobytes()
    for part in (slice(0, 2), slice(2, 3), slice(3, 6)):
        alone = engine.forecast(amounts[:, part], names[part], HORIZON, seed=7).values
        assert alone.tobytes() == together[part].tobytes()


def test_a_longer_horizon_begins_with_the_shorter_one() -> None:
    amounts = weekly(60, 3)
    amounts[:, 2] = np.where(np.arange(60) % 4 == 0, 7.0, 0.0)  # intermittent
    names = ["a", "b", "c"]
    near, far = (engine.forecast(amounts, names, days, seed=7).values for days in (20, 90))
    np.testing.assert_allclose(near, far[:, :20], rtol=1e-4)


def test_the_same_parameters_are_chosen_by_however_many_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spread, "_WORTH", 2)
    monkeypatch.setattr(spread, "_CHUNK", 3)
    amounts = weekly(70, 7)
    important = np.arange(7) == 2
    one, two = (spread.fit(amounts, important, processes) for processes in (1, 2))
    whole = engine.fit(amounts, important)
    for other in (two, whole):
        assert other.weights.tobytes() == one.weights.tobytes()
        assert other.parameters.alpha.tobytes() == one.parameters.alpha.tobytes()
        assert other.scale.tobytes() == one.scale.tobytes()


def test_an_erratic_weekend_has_the_wider_interval() -> None:
    random = np.random.default_rng(2)
    weekend = np.arange(210) % 7 >= 5
    noise = np.where(weekend, 0.6, 0.05) * random.standard_normal(210)
    q = spread_of((100 * np.exp(noise))[:, None])
    width = np.log(q[5] / q[1])[0]
    ahead = (210 + np.arange(HORIZON)) % 7 >= 5
    assert width[ahead].mean() > 3 * width[~ahead].mean()


def test_a_first_week_with_a_weekend_is_read_as_one() -> None:
    q = spread_of(weekly(9, noise=0.03))
    weekday = (9 + np.arange(HORIZON)) % 7
    middle = q[3, 0]
    assert middle[weekday >= 5].mean() < 0.75 * middle[weekday < 5].mean()


@pytest.mark.parametrize(
    "amounts",
    [
        np.zeros((60, 1)),
        np.full((60, 1), 5.0),
        np.full((60, 1), np.nan),
        np.full((1, 1), 12.0),
        -np.ones((60, 1)),
        np.where(np.arange(60)[:, None] == 40, 1e12, 3.0),
        np.where(np.arange(60)[:, None] == 59, 1e12, 3.0),
        np.where(np.arange(60)[:, None] % 9 == 0, 4.0, 0.0),
        np.where(np.arange(60)[:, None] % 3 == 0, np.nan, 4.0),
        np.where(np.arange(60)[:, None] == 30, np.inf, 4.0),
        np.linspace(1e-9, 1e-6, 60)[:, None],
    ],
    ids=[
        "all zeros",
        "all equal",
        "all missing",
        "one day",
        "negative",
        "a jump to 1e12",
        "a jump to 1e12 last night",
        "intermittent",
        "a third missing",
        "infinite",
        "nano-dollars",
    ],
)
def test_bad_input_gets_a_wide_honest_interval(amounts: np.ndarray) -> None:
    q = spread_of(amounts)
    assert np.isfinite(q).all()
    assert (q >= 0).all()
    assert (np.diff(q, axis=0) >= 0).all()
    assert (q[6] > q[0]).all(), "an interval of width zero claims to know the future"


def test_a_sum_over_series_that_move_together_is_as_wide_as_they_are() -> None:
    random = np.random.default_rng(2)
    common = np.exp(0.2 * random.standard_normal((140, 1)))
    amounts = 10 * common * np.exp(0.02 * random.standard_normal((140, 30)))
    names = [f"series {number}" for number in range(30)]
    paths = engine.forecast(amounts, names, HORIZON, seed=1).values.sum(axis=0)
    own = spread_of(amounts)
    relative = np.quantile(paths, 0.9, axis=0) / np.quantile(paths, 0.1, axis=0)
    assert relative.mean() > 0.75 * (own[5] / own[1]).mean()


def test_a_free_model_is_forecast_at_nothing_and_nothing_is_inside_the_interval() -> None:
    q = spread_of(np.zeros((60, 1)))
    assert (q[:5] == 0).all()
    assert (q[6] > 0).all()


def test_a_weekend_without_use_stays_one() -> None:
    amounts = weekly(140)
    amounts[np.arange(140) % 7 >= 5] = 0.0
    q = spread_of(amounts)
    shut = (140 + np.arange(HORIZON)) % 7 >= 5
    assert (q[3, 0, shut] == 0).all()
    assert q[3, 0, ~shut].mean() == pytest.approx(100, rel=0.1)


def test_a_model_that_was_switched_off_three_weeks_ago_is_not_expected_back() -> None:
    amounts = weekly(140)
    amounts[-20:] = 0.0
    result = engine.forecast(amounts, ["a"], HORIZON, seed=1).values
    assert np.median(result.sum(axis=1)) == 0.0
    assert 0 < result.mean() < 15


def test_a_level_known_for_a_month_may_drift_further_than_one_known_for_a_year() -> None:
    def of_last_week(days: int) -> float:
        q = spread_of(weekly(days, 20, noise=0.03))
        return float(np.log(q[5, :, -7:] / q[1, :, -7:]).mean())

    assert 1.5 * of_last_week(365) < of_last_week(28) < 0.8


def test_the_drift_of_levels_widens_sums_more_than_days() -> None:
    amounts = weekly(28, 20, noise=0.1)
    names = [f"series {number}" for number in range(20)]
    made = engine.forecast(amounts, names, 28, seed=1).values
    day, month = made[:, 13], made.sum(axis=1)
    wide = [
        np.log(np.quantile(x, 0.9, axis=-1) / np.quantile(x, 0.1, axis=-1)).mean()
        for x in (day, month)
    ]
    assert wide[1] > 0.6 * wide[0]  # independent days: 0.2


@pytest.mark.parametrize("days", [3, 8, 12])
def test_the_intervals_of_a_young_series_hold_what_they_promise(days: int) -> None:
    """Tenants whose level wanders a little: a week of them tells little."""
    random = np.random.default_rng(5)
    level = np.cumsum(0.05 * random.standard_normal((days + 7, 120)), axis=0)
    amounts = 100 * np.exp(level + 0.25 * random.standard_normal((days + 7, 120)))
    q = spread_of(amounts[:days])[:, :, :7]
    came = amounts[days:].T
    assert 0.72 < ((came >= q[1]) & (came <= q[5])).mean() < 0.95


def test_a_client_that_has_just_begun_to_work_is_expected_to_go_on() -> None:
    amounts = np.array([1, 0, 0, 1, 0, 0, 0, 900, 1000, 1100], dtype=float)[:, None]
    assert engine.forecast(amounts, ["a"], HORIZON, seed=1).values.mean() > 500
