"""Pass rates and votes by day, ready to be asked for any window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from operator import add
from typing import Any, Final

from llmops_jobs.days import days as days_between
from llmops_jobs.signals.intervals import wilson

_NONE: Final = (0.0,) * 6


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval; `raw` is the scorer's own share, `n_human` labels in it."""

    n: int = 0
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n_human: int = 0
    raw: float | None = None
    method: str = ""


class Windows:
    """Rows of `quality_window` of one length: metric and scope -> last day -> rate."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rates: dict[tuple[str, str], dict[date, Rate]] = {}
        for row in rows:
            rate = Rate(
                n=row.n,
                estimate=row.estimate,
                low=row.low,
                high=row.high,
                n_human=row.n_human,
                raw=row.raw_judge_rate,
                method=row.method,
            )
            self._rates.setdefault((row.scope, row.metric), {})[row.day] = rate

    def on(self, metric: str, day: date, scope: str = "total") -> Rate:
        """The rate of the window that ends on `day`."""
        return self._rates.get((scope, metric), {}).get(day, Rate())

    def metrics(self, day: date, scope: str = "total") -> list[str]:
        """Metrics of that day: those that people label first, then the least passed."""
        found = [
            (metric, rates[day])
            for (where, metric), rates in self._rates.items()
            if where == scope and day in rates
        ]
        found.sort(key=lambda one: (-one[1].n_human, _unknown_last(one[1].estimate), one[0]))
        return [metric for metric, _ in found]

    def scopes(self, dimension: str, metric: str, day: date) -> list[tuple[str, Rate]]:
        """(value, rate) of every slice of a dimension, the least passed first."""
        start = f"{dimension}="
        found = [
            (scope.removeprefix(start), rates[day])
            for (scope, name), rates in self._rates.items()
            if name == metric and scope.startswith(start) and day in rates
        ]
        return sorted(found, key=lambda one: (_unknown_last(one[1].estimate), one[0]))


class Votes:
    """Feedback by score, source and day."""

    def __init__(self, rows: Iterable[Any], traces: Iterable[Any]) -> None:
        """`rows` and `traces`: the sources `votes` and `traces`."""
        self._sums: dict[tuple[str, str], dict[date, tuple[float, ...]]] = {}
        for row in rows:
            days = self._sums.setdefault((row.score_name, row.source), {})
            numbers = (row.votes, row.positive, row.rated_traces, row.total, row.valued, row.n)
            days[row.day] = tuple(map(add, days.get(row.day, _NONE), numbers))
        self._traces: dict[date, int] = {}
        for row in traces:
            self._traces[row.day] = self._traces.get(row.day, 0) + row.traces
        # Windows are asked for again by the reports of other days.
        self.rate = lru_cache(maxsize=None)(self._rate)

    def scores(self, first: date, last: date) -> list[tuple[str, str]]:
        """(score, source) with most scores first."""
        count = {key: self._sum(key, first, last)[5] for key in self._sums}
        return sorted((key for key in count if count[key]), key=lambda key: (-count[key], key))

    def _rate(self, key: tuple[str, str], first: date, last: date) -> Rate:
        """The positive share of a score that is a vote."""
        n, positive = self._sum(key, first, last)[:2]
        if not n:
            return Rate()
        low, high = wilson(positive, n)
        return Rate(int(n), positive / n, float(low), float(high))

    def mean(self, key: tuple[str, str], first: date, last: date) -> tuple[int, float | None]:
        """(n, mean) of the values of a numeric score."""
        total, n = self._sum(key, first, last)[3:5]
        return int(n), total / n if n else None

    def response(self, key: tuple[str, str], first: date, last: date) -> float | None:
        """Rated traces / traces."""
        traces = sum(self._traces.get(day, 0) for day in days_between(first, last))
        return float(self._sum(key, first, last)[2]) / traces if traces else None

    def headline(self, first: date, last: date) -> tuple[str, str] | None:
        """The vote that users give most."""
        users = [
            key
            for key in self.scores(first, last)
            if key[1] == "API" and self._sum(key, first, last)[0]
        ]
        return users[0] if users else None

    def _sum(self, key: tuple[str, str], first: date, last: date) -> tuple[float, ...]:
        days = self._sums.get(key, {})
        total = _NONE
        for day in days_between(first, last):
            if day in days:
                total = tuple(map(add, total, days[day]))
        return total


def _unknown_last(estimate: float | None) -> tuple[bool, float]:
    return (estimate is None, estimate or 0.0)
