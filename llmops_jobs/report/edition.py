"""An edition: one project (or all), one period, as of one day. What every section is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.report.compare import REFERENCES, Judged, judge
from llmops_jobs.report.daily import NANO, Daily
from llmops_jobs.report.links import Links, of_call
from llmops_jobs.report.marts import Marts
from llmops_jobs.report.model import Change, Period, Project, Prose, Unit, figure
from llmops_jobs.report.settings import ReportSettings

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake

# How far back a judgement reaches: the window, its comparable one, and 28 shifts of both.
LOOKBACK_DAYS = {"day": 36, "week": 42, "month": 93}


def period_of(kind: str, day: date, as_of: date | None = None) -> Period:
    """The calendar period that holds `day`, cut at `as_of` (its own end by default).

    A day is compared with the same weekday of the week before, a week with the week before, a
    month with as many days of the month before; both windows are equally long and never overlap.
    """
    if kind == "day":
        first = end = day
        lag = 7
    elif kind == "week":
        first = day - timedelta(days=day.weekday())
        end = first + timedelta(days=6)
        lag = 7
    else:
        first = day.replace(day=1)
        end = end_of_month(first)
        lag = (first - (first - timedelta(days=1)).replace(day=1)).days
    last = end if as_of is None else max(first, min(end, as_of))
    lag = max(lag, (last - first).days + 1)
    back = timedelta(days=lag)
    return Period(
        kind=kind,
        first=first,
        last=last,
        before_first=first - back,
        before_last=last - back,
        complete=last == end,
    )


def end_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def period_end(kind: str, day: date) -> date:
    """The last day of the calendar period that holds `day`: the report's key."""
    return period_of(kind, day).last


@dataclass(frozen=True)
class Edition:
    marts: Marts
    settings: ReportSettings
    project: Project
    period: Period
    alerts: AlertSettings
    lake: Lake | None = None  # for text, where the settings allow it

    @property
    def first(self) -> date:
        return self.period.first

    @property
    def last(self) -> date:
        return self.period.last

    @property
    def window(self) -> int:
        """Length of the period in days."""
        return (self.last - self.first).days + 1

    @property
    def lag(self) -> int:
        return (self.first - self.period.before_first).days

    @property
    def history(self) -> tuple[date, date]:
        """The days that charts show."""
        days = max(self.settings.history_days, self.window)
        return self.last - timedelta(days=days - 1), self.last

    @cached_property
    def history_days(self) -> list[date]:
        first, last = self.history
        return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]

    @cached_property
    def links(self) -> Links:
        return Links(self.project.base_url, self.project.id)

    @cached_property
    def usage(self) -> Daily:
        return self.marts.daily(None)

    def by(self, split: str) -> Daily:
        return self.marts.daily(split)

    def shifted(self, shift: int) -> tuple[date, date]:
        """The period's window, `shift` days earlier."""
        back = timedelta(days=shift)
        return self.first - back, self.last - back

    def judge(self, values: np.ndarray, *, relative: bool) -> Judged:
        """Compares a metric of the period with its comparable window; see `compare`.

        `values[n]` is the metric over the period's window n days earlier.
        """
        return judge(values, window=self.window, lag=self.lag, relative=relative)

    def by_shift(self, metric: Callable[[date, date], float | None]) -> np.ndarray:
        """A metric of a window of days, at every shift that a judgement needs."""
        values = np.full(self.window + REFERENCES + self.lag, np.nan)
        for shift in range(len(values)):
            first, last = self.shifted(shift)
            value = metric(first, last) if first >= self.marts.first else None
            if value is not None:
                values[shift] = value
        return values

    @cached_property
    def spends(self) -> np.ndarray:
        """Product spend of the period's window by shift, USD; NaN unless every day has usage."""
        return self.usage.windows("cost", self.first, self.last) / NANO

    def ratios(self, above: str, below: str) -> np.ndarray:
        """A ratio of two measures of usage, by shift."""
        part, whole = (self.usage.windows(name, self.first, self.last) for name in (above, below))
        return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)

    def ratio(self, above: str, below: str, first: date, last: date) -> float | None:
        part, whole = (self.usage.whole(name, first, last) for name in (above, below))
        return part / whole if part is not None and whole else None

    def calls(self, *conditions: str) -> str | None:
        """The period's model calls in Langfuse; None where the project has no address."""
        return self.links.calls(self.first, self.last, *conditions)

    def traces(self, *conditions: str) -> str | None:
        """The period's traces in Langfuse."""
        return self.links.traces(self.first, self.last, *conditions)

    def view(self, dimension: str, value: str) -> str | None:
        """The period's model calls with this value of a dimension."""
        conditions = of_call(dimension, value)
        return self.calls(*conditions) if conditions else None


_COMPARED = {"day": "the same weekday a week before", "week": "the week before"}


def compared_with(kind: str) -> str:
    return _COMPARED.get(kind, "as many days a month before")


def change_of(
    judged: Judged, unit: Unit, *, good: str = "none", outside: bool = False
) -> Change | None:
    """A judged change as it is published.

    `good` is the good direction: `up`, `down` or `none`. `outside` says that the value lies
    outside its calibrated forecast interval, which makes the change real by itself.
    """
    if judged.change is None:
        return None
    real = True if outside else judged.real
    why: Prose = ["within the usual ups and downs"]
    if outside:
        why = ["outside the ", figure(0.95, "share"), " interval of its forecast"]
    elif real is None:
        why = ["too little history to say whether this is unusual"]
    elif real:
        why = ["larger than each of the ", figure(judged.references, "count"), " changes before"]
    direction = 0 if judged.change == 0 else (1 if judged.change > 0 else -1)
    wanted = {"up": 1, "down": -1}.get(good)
    return Change(
        before=figure(judged.before, "number").value,
        change=figure(judged.change, unit),
        real=real,
        good=None if wanted is None or direction == 0 else direction == wanted,
        why=why,
    )
