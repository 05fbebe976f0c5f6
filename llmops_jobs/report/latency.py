"""Percentiles of any window of days from the mart's mergeable histograms."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from llmops_jobs.signals.histogram import middle


class Histograms:
    """One metric's histograms by day, of the total and of each value of a dimension.

    A quantile over a window merges the buckets first (percentiles are never averaged) and
    interpolates between ranks as the daily mart does.
    """

    def __init__(self, rows: Iterable[Any]) -> None:
        """`rows`: `day`, `scope` (`total` or `dimension=value`), `gamma`, and `counts`, a JSON
        object of bucket and number; in the order of days."""
        # Windows are asked for again by the reports of other days.
        self.quantiles = lru_cache(maxsize=None)(self._quantiles)
        days: dict[str | None, list[np.ndarray]] = {}
        seconds: dict[str | None, list[np.ndarray]] = {}
        counts: dict[str | None, list[np.ndarray]] = {}
        for row in rows:
            value = None if row.scope == "total" else str(row.scope).partition("=")[2]
            held = orjson.loads(row.counts)
            buckets = np.fromiter(map(int, held), "int64", len(held))
            # Buckets of different bases never meet in one: a bucket is what stands for it.
            seconds.setdefault(value, []).append(middle(buckets, row.gamma))
            counts.setdefault(value, []).append(np.fromiter(held.values(), "int64", len(held)))
            days.setdefault(value, []).append(np.full(len(held), row.day.toordinal()))
        parts = [part for each in seconds.values() for part in each]
        self._middle = np.unique(np.concatenate(parts)) if parts else np.empty(0)
        self._parts: dict[str | None, tuple[np.ndarray, np.ndarray, np.ndarray]] = {
            value: (
                np.concatenate(days[value]),
                np.searchsorted(self._middle, np.concatenate(seconds[value])),
                np.concatenate(counts[value]),
            )
            for value in days
        }

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return bool(self._parts)

    def values(self) -> list[str]:
        return [key for key in self._parts if key is not None]

    def counts(self, value: str | None, first: date, last: date) -> np.ndarray:
        """Counts per bucket of the days [first, last]; `None` merges all values."""
        if value not in self._parts:
            return np.zeros(len(self._middle), dtype="int64")
        days, code, n = self._parts[value]
        start, end = np.searchsorted(days, [first.toordinal(), last.toordinal() + 1])
        weights = n[start:end]
        return np.bincount(code[start:end], weights, len(self._middle)).astype("int64")

    def _quantiles(
        self, value: str | None, first: date, last: date, at: tuple[float, ...]
    ) -> tuple[int, list[float | None]]:
        """(n, the quantiles `at`); each within the relative error of the mapping."""
        cumulative = self.counts(value, first, last).cumsum()
        n = int(cumulative[-1]) if len(cumulative) else 0
        if n == 0:
            return 0, [None] * len(at)
        exact = np.asarray(at) * (n - 1)
        lower = np.floor(exact)
        low, high = (
            self._middle[np.searchsorted(cumulative, np.minimum(rank, n - 1), side="right")]
            for rank in (lower, lower + 1)
        )
        found = low + (exact - lower) * (high - low)
        return n, [float(quantile) for quantile in found]
