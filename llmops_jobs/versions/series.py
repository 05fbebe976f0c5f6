"""The daily series in which change points are looked for, from the marts.

A day's value depends on that day alone, so all series of a run are computed once, as columns of one
frame, and cut as of each night.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.store import Database
from llmops_jobs.versions.change_points import WINDOW

if TYPE_CHECKING:
    import pandas as pd

Series = dict[tuple[str, str], tuple[list[date], np.ndarray]]

# Changes of these are ratios; of the others differences in points.
RELATIVE = frozenset({"cost_per_request", "input_tokens_per_request", "output_tokens_per_request"})
_SCOPES = ("model", "feature", "tenant")
_SMALLEST = 30  # calls a day; a smaller slice has no daily level worth the name

# Metric of usage_daily -> what is divided by `requests`.
_PER_REQUEST = {
    "cost_per_request": "cost_usd",
    "input_tokens_per_request": "input_tokens",
    "output_tokens_per_request": "output_tokens",
    "error_rate": "errors",
}


class Marts:
    """Every series of a project up to the last day of a run."""

    def __init__(self, database: Database, project: str, first: date, last: date) -> None:
        import pandas as pd

        start = first - timedelta(days=WINDOW)
        usage = _product(database.table("usage_daily", project, start, last))
        quality = _product(database.table("quality_daily", project, start, last))
        feedback = _product(database.table("feedback_daily", project, start, last))
        columns: dict[tuple[str, str], pd.Series] = {}
        if len(usage):
            usage = usage.assign(cost_usd=usage["cost_usd"].astype(float))
            for metric, top in _PER_REQUEST.items():
                columns |= _ratios(usage, top, "requests", metric)
        if len(quality):
            passed = quality.assign(passed=quality["raw_judge_rate"] * quality["n"])
            for metric, rows in passed.groupby("metric"):
                columns |= _ratios(rows, "passed", "n", f"pass_rate:{metric}")
        if len(feedback):
            for name, rows in feedback.groupby("score_name"):
                columns |= _ratios(rows, "positive", "n", f"positive_rate:{name}")
        self._values = pd.DataFrame(columns).sort_index()

    def series(self, day: date) -> Series:
        """Every series that has a value on `day`, cut there: nothing later is in it."""
        if self._values.empty or day not in self._values.index:
            return {}
        seen = self._values.loc[day - timedelta(days=WINDOW - 1) : day]
        alive = seen.loc[:, seen.iloc[-1].notna()]
        days, values = list(alive.index), alive.to_numpy()
        return {key: (days, values[:, i]) for i, key in enumerate(alive.columns)}


def _product(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows["is_evaluation"].astype(bool)]


def _ratios(
    rows: pd.DataFrame, top: str, bottom: str, metric: str
) -> dict[tuple[str, str], pd.Series]:
    """(scope, metric) -> top / bottom by day; NaN on days with too few for a level."""
    found: dict[tuple[str, str], pd.Series] = {}
    for scope, sums in _sums(rows, top, bottom):
        ratio = (sums[top] / sums[bottom]).where(sums[bottom] >= _SMALLEST)
        if ratio.notna().any():
            found[scope, metric] = ratio.astype(float)
    return found


def _sums(rows: pd.DataFrame, top: str, bottom: str) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "total", rows.groupby("day")[[top, bottom]].sum()
    for dimension in _SCOPES:
        by_value = rows.groupby([dimension, "day"])[[top, bottom]].sum()
        for value, sums in by_value.groupby(level=0):
            if value != "":
                yield f"{dimension}={value}", sums.droplevel(0)
