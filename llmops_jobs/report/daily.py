"""Usage by day as arrays: any window of days is one subtraction of running sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

NANO = 1_000_000_000


class Daily:
    """One split of usage (or its total): values x days x measures.

    `days` (ordinals), `codes` (places in `values`) and the arrays of `measures` have a place per
    row; `present` are the ordinals of the days that have any usage. `cost` is in nano-dollars.
    """

    def __init__(
        self,
        days: np.ndarray,
        codes: np.ndarray,
        values: Sequence[str],
        measures: Mapping[str, np.ndarray],
        present: np.ndarray,
        first: date,
        last: date,
    ) -> None:
        self._first = first.toordinal()
        self._days = last.toordinal() - self._first + 1
        self._present = np.zeros(self._days, dtype="int64")
        self._present[present - self._first] = 1
        self._covered = np.concatenate([[0], self._present.cumsum()])
        self.values = list(values)
        self._rows = {value: row for row, value in enumerate(self.values)}
        self._sums: dict[str, np.ndarray] = {}
        for measure, numbers in measures.items():
            dense = np.zeros((len(self.values), self._days + 1), dtype="int64")
            np.add.at(dense, (codes, days - self._first + 1), numbers)
            self._sums[measure] = dense.cumsum(axis=1)

    def _span(self, first: date, last: date) -> tuple[int, int]:
        start = min(max(first.toordinal() - self._first, 0), self._days)
        end = min(max(last.toordinal() - self._first + 1, start), self._days)
        return start, end

    def covered(self, first: date, last: date) -> int:
        """How many days of [first, last] have any usage."""
        start, end = self._span(first, last)
        return int(self._covered[end] - self._covered[start])

    def _picked(self, measure: str, values: tuple[str, ...]) -> np.ndarray:
        """Running sums of some values together (of the total when none is named)."""
        sums = self._sums[measure]
        if len(values) <= 1:
            return sums[self._rows[values[0] if values else ""]]
        return sums[[self._rows[value] for value in values]].sum(axis=0)

    def total(self, measure: str, first: date, last: date, *values: str) -> int:
        """Sum over the days [first, last]; `cost` in nano-dollars."""
        start, end = self._span(first, last)
        sums = self._picked(measure, values)
        return int(sums[end] - sums[start])

    def totals(self, measure: str, first: date, last: date) -> dict[str, int]:
        """`total` of every value."""
        start, end = self._span(first, last)
        sums = self._sums[measure]
        return dict(zip(self.values, (sums[:, end] - sums[:, start]).tolist(), strict=True))

    def whole(self, measure: str, first: date, last: date, *values: str) -> int | None:
        """The sum, or None when not every day of the window has usage."""
        if self.covered(first, last) < (last - first).days + 1:
            return None
        return self.total(measure, first, last, *values)

    def windows(self, measure: str, first: date, last: date, *values: str) -> np.ndarray:
        """`whole` of the window [first, last] and of every one before it, a day further back
        each; NaN where days are missing."""
        length = (last - first).days + 1
        end = last.toordinal() - self._first + 1
        if not length <= end <= self._days:
            return np.full(1, np.nan)
        sums = self._picked(measure, values)
        totals = (sums[length : end + 1] - sums[: end + 1 - length]).astype(float)
        covered = self._covered[length : end + 1] - self._covered[: end + 1 - length]
        totals[covered < length] = np.nan
        return totals[::-1]

    def usd(self, first: date, last: date, *values: str) -> float:
        return self.total("cost", first, last, *values) / NANO

    def series(self, measure: str, first: date, last: date, *values: str) -> list[int | None]:
        """By day; None for a day without any usage at all."""
        start, end = self._span(first, last)
        steps = np.diff(self._picked(measure, values)[start : end + 1]).tolist()
        inside = [
            step if here else None
            for step, here in zip(steps, self._present[start:end].tolist(), strict=True)
        ]
        before = min((last - first).days + 1, max(0, self._first - first.toordinal()))
        after = (last - first).days + 1 - before - len(inside)
        return [None] * before + inside + [None] * after

    def usd_series(self, first: date, last: date, *values: str) -> list[float | None]:
        return [
            None if nano is None else nano / NANO
            for nano in self.series("cost", first, last, *values)
        ]
