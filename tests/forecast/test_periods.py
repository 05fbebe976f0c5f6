"""Calendar periods in any time zone, as weights over UTC days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from llmops_jobs.forecast.periods import horizon_end, next_period, period_of


@pytest.mark.parametrize(
    ("kind", "first", "end", "label"),
    [
        ("day", date(2026, 11, 24), date(2026, 11, 25), "2026-11-24"),
        ("week", date(2026, 11, 23), date(2026, 11, 30), "2026-W48"),
        ("month", date(2026, 11, 1), date(2026, 12, 1), "2026-11"),
        ("quarter", date(2026, 10, 1), date(2027, 1, 1), "2026-Q4"),
    ],
)
def test_a_period_is_the_calendar_one_around_the_day(
    kind: str, first: date, end: date, label: str
) -> None:
    period = period_of(date(2026, 11, 24), kind)
    assert (period.first, period.end, period.label) == (first, end, label)
    assert period.weights(first - timedelta(days=3), 120).sum() == (end - first).days


def test_a_month_elsewhere_takes_part_of_the_utc_days_at_its_ends() -> None:
    period = period_of(date(2026, 6, 15), "month", "America/New_York")
    assert period.starts == datetime(2026, 6, 1, 4, tzinfo=UTC)
    weights = period.weights(date(2026, 6, 1), 31)
    assert weights[0] == pytest.approx(20 / 24)
    assert weights[-1] == pytest.approx(4 / 24)  # 1 July UTC, until midnight in New York
    assert weights.sum() == pytest.approx(30)


def test_a_month_with_a_change_of_clock_is_an_hour_longer_or_shorter() -> None:
    november = period_of(date(2026, 11, 15), "month", "America/New_York")
    assert november.weights(date(2026, 10, 31), 34).sum() == pytest.approx(30 + 1 / 24)
    march = period_of(date(2026, 3, 15), "month", "Europe/Berlin")
    assert march.weights(date(2026, 2, 27), 34).sum() == pytest.approx(31 - 1 / 24)
    assert 0 < march.elapsed(date(2026, 3, 29)) < 1


def test_the_period_is_that_in_which_the_utc_day_ends() -> None:
    # On 30 November at 24:00 UTC it is December in Tokyo, and still November in New York.
    assert period_of(date(2026, 11, 30), "month", "Asia/Tokyo").label == "2026-12"
    assert period_of(date(2026, 11, 30), "month", "America/New_York").label == "2026-11"
    assert period_of(date(2026, 11, 30), "month").label == "2026-11"


def test_the_next_period_begins_where_one_ends() -> None:
    for kind in ("day", "week", "month", "quarter"):
        period = period_of(date(2026, 12, 31), kind, "Europe/Berlin")
        following = next_period(period, "Europe/Berlin")
        assert following.starts == period.ends


def test_the_horizon_is_the_end_of_the_month_after_tomorrows() -> None:
    assert horizon_end(date(2026, 11, 24)) == date(2026, 12, 31)
    assert horizon_end(date(2026, 11, 30)) == date(2027, 1, 31)
    assert horizon_end(date(2027, 1, 30)) == date(2027, 2, 28)


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="month"):
        period_of(date(2026, 11, 24), "fortnight")
