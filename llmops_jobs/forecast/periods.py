"""Calendar periods, in any time zone, as weights over UTC days.

Spend is known by UTC day. A period that begins at midnight elsewhere takes part of the UTC day at
each of its ends, in proportion to the time; a change to or from summer time inside is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.days import end_of, start_of

KINDS = ("day", "week", "month", "quarter")


@dataclass(frozen=True)
class Period:
    """`[first, end)` in local calendar days, and the two instants."""

    kind: str
    first: date
    end: date
    starts: datetime
    ends: datetime

    @property
    def label(self) -> str:
        if self.kind == "month":
            return f"{self.first:%Y-%m}"
        if self.kind == "week":
            year, week, _ = self.first.isocalendar()
            return f"{year}-W{week:02d}"
        if self.kind == "quarter":
            return f"{self.first.year}-Q{(self.first.month + 2) // 3}"
        return self.first.isoformat()

    def weights(self, first: date, count: int) -> NDArray[np.float64]:
        """The share of each UTC day from `first` on that lies in the period."""
        shares = np.zeros(count)
        begin = max((self.starts.date() - first).days, 0)
        stop = min((self.ends.date() - first).days + 1, count)
        for at in range(begin, stop):
            day = first + timedelta(days=at)
            inside = min(self.ends, end_of(day)) - max(self.starts, start_of(day))
            shares[at] = max(inside / timedelta(days=1), 0.0)
        return shares

    def elapsed(self, day: date) -> float:
        """The share of the period that is over at the end of a UTC day, 0 to 1."""
        share = (end_of(day) - self.starts) / (self.ends - self.starts)
        return min(max(share, 0.0), 1.0)

    def days_left(self, day: date) -> float:
        return max((self.ends - end_of(day)) / timedelta(days=1), 0.0)


def period_of(day: date, kind: str, time_zone: str = "UTC") -> Period:
    """The period in which a UTC day ends (its last instant)."""
    zone = ZoneInfo(time_zone)
    local = (end_of(day) - timedelta(microseconds=1)).astimezone(zone).date()
    first, end = _bounds(local, kind)
    return Period(kind, first, end, _midnight(first, zone), _midnight(end, zone))


def next_period(period: Period, time_zone: str = "UTC") -> Period:
    zone = ZoneInfo(time_zone)
    first, end = _bounds(period.end, period.kind)
    return Period(period.kind, first, end, _midnight(first, zone), _midnight(end, zone))


def horizon_end(as_of: date) -> date:
    """The last day forecast: the end of the month after the month of tomorrow."""
    tomorrow = as_of + timedelta(days=1)
    return _add_months(tomorrow.replace(day=1), 2) - timedelta(days=1)


def _bounds(day: date, kind: str) -> tuple[date, date]:
    if kind == "day":
        return day, day + timedelta(days=1)
    if kind == "week":
        first = day - timedelta(days=day.weekday())
        return first, first + timedelta(days=7)
    if kind == "month":
        first = day.replace(day=1)
        return first, _add_months(first, 1)
    if kind == "quarter":
        first = day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
        return first, _add_months(first, 3)
    raise ValueError(f"{kind!r} is no period: use {', '.join(KINDS)}")


def _add_months(first: date, months: int) -> date:
    month = first.month - 1 + months
    return first.replace(year=first.year + month // 12, month=month % 12 + 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
