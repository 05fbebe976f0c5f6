"""Percentiles of any window of days from the mart's mergeable histograms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np

from llmops_jobs.signals.histogram import middle


class Histograms:
    """One metric's histograms by day and value of a split.

    A quantile over a window merges the buckets first (percentiles are never averaged) and
    interpolates between ranks as the daily mart does.
    """

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        """`rows`: (day or its text, value of the split, bucket, n, gamma), in the order of days."""
        self._middle = np.empty(0)
        # Windows are asked for again by the reports of other days.
        self.quantiles = lru_cache(maxsize=None)(self._quantiles)
        self._parts: dict[str | None, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        if not rows:
            return
        day, value, bucket, count, gamma = zip(*rows, strict=True)
        # Buckets of different bases never meet in one: a bucket is its base and its number.
        seconds = middle(np.array(bucket), np.array(gamma, dtype=float))
        self._middle, code = np.unique(seconds, return_inverse=True)
        ordinals = {one: date.fromisoformat(str(one)).toordinal() for one in set(day)}
        days = np.fromiter(map(ordinals.__getitem__, day), "int64", len(day))
        n = np.array(count, dtype="int64")
        self._parts[None] = (days, code, n)
        keys = {key: number for number, key in enumerate(sorted(set(value)))}
        place = np.fromiter(map(keys.__getitem__, value), "int64", len(value))
        for key, number in keys.items():
            picked = np.flatnonzero(place == number)
            self._parts[str(key)] = (days[picked], code[picked], n[picked])

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
