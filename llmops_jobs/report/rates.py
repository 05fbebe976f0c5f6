"""Pass rates and votes by day, ready to be asked for any window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.signals.intervals import wilson


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
    """`quality_window`, one length of window: metric and scope -> last day -> rate."""

    def __init__(self, rows: pd.DataFrame, days: int) -> None:
        rows = rows[rows["window_days"] == days]
        self._rates: dict[tuple[str, str], dict[int, Rate]] = {}
        names = ["scope", "metric", "ordinal", "n", "estimate", "low", "high", "n_human"]
        for scope, metric, day, n, estimate, low, high, human, raw, method in rows[
            [*names, "raw_judge_rate", "method"]
        ].itertuples(index=False, name=None):
            rate = Rate(
                n=int(n),
                estimate=_number(estimate),
                low=_number(low),
                high=_number(high),
                n_human=int(human),
                raw=_number(raw),
                method=str(method),
            )
            self._rates.setdefault((scope, metric), {})[int(day)] = rate

    def on(self, metric: str, day: date, scope: str = "total") -> Rate:
        """The rate of the window that ends on `day`."""
        return self._rates.get((scope, metric), {}).get(day.toordinal(), Rate())

    def metrics(self, day: date, scope: str = "total") -> list[str]:
        """Metrics of that day: those that people label first, then the least passed."""
        found = [
            (metric, rates[day.toordinal()])
            for (where, metric), rates in self._rates.items()
            if where == scope and day.toordinal() in rates
        ]
        found.sort(key=lambda one: (-one[1].n_human, _unknown_last(one[1].estimate), one[0]))
        return [metric for metric, _ in found]

    def scopes(self, dimension: str, metric: str, day: date) -> list[tuple[str, Rate]]:
        """(value, rate) of every slice of a dimension, the least passed first."""
        start = f"{dimension}="
        found = [
            (scope.removeprefix(start), rates[day.toordinal()])
            for (scope, name), rates in self._rates.items()
            if name == metric and scope.startswith(start) and day.toordinal() in rates
        ]
        return sorted(found, key=lambda one: (_unknown_last(one[1].estimate), one[0]))


class Votes:
    """`feedback_daily` summed by score, source and day."""

    def __init__(self, rows: pd.DataFrame, traces: pd.DataFrame) -> None:
        """`traces`: `ordinal` and `traces`, what could have been rated."""
        self._sums: dict[tuple[str, str], dict[int, np.ndarray]] = {}
        is_vote = rows["rate"].notna().to_numpy()
        value = (rows["mean_value"].astype(float) * rows["n"]).fillna(0.0).to_numpy()
        columns = zip(
            rows["score_name"],
            rows["source"],
            rows["ordinal"],
            rows["n"] * is_vote,
            rows["positive"],
            rows["rated_traces"],
            value,
            rows["n"] * rows["mean_value"].notna().to_numpy(),
            rows["n"],
            strict=True,
        )
        for score, source, day, *numbers in columns:
            days = self._sums.setdefault((str(score), str(source)), {})
            days[int(day)] = days.get(int(day), np.zeros(6)) + np.array(numbers, dtype=float)
        self._traces = traces.groupby("ordinal")["traces"].sum().to_dict()

    def scores(self, first: date, last: date) -> list[tuple[str, str]]:
        """(score, source) with most scores first."""
        count = {key: self._sum(key, first, last)[5] for key in self._sums}
        return sorted((key for key in count if count[key]), key=lambda key: (-count[key], key))

    def rate(self, key: tuple[str, str], first: date, last: date) -> Rate:
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
        traces = sum(self._traces.get(day, 0) for day in _span(first, last))
        return float(self._sum(key, first, last)[2]) / traces if traces else None

    def headline(self, first: date, last: date) -> tuple[str, str] | None:
        """The vote that users give most."""
        users = [
            key
            for key in self.scores(first, last)
            if key[1] == "API" and self._sum(key, first, last)[0]
        ]
        return users[0] if users else None

    def _sum(self, key: tuple[str, str], first: date, last: date) -> np.ndarray:
        days = self._sums.get(key, {})
        total = np.zeros(6)
        for day in _span(first, last):
            if day in days:
                total += days[day]
        return total


def _span(first: date, last: date) -> range:
    return range(first.toordinal(), last.toordinal() + 1)


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _unknown_last(estimate: float | None) -> tuple[bool, float]:
    return (estimate is None, estimate or 0.0)
