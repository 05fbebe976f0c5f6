"""The daily series in which change points are looked for, from the marts."""

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
RELATIVE = frozenset(
    {"cost_per_request", "input_tokens_per_request", "output_tokens_per_request", "latency_p50"}
)
_SCOPES = ("model", "feature", "tenant")
_SMALLEST = 20  # calls a day; a smaller slice has no daily level worth the name


class Marts:
    """The marts' daily rows up to the newest day of a run, read once and cut as of each day."""

    def __init__(self, database: Database, project: str, first: date, last: date) -> None:
        start = first - timedelta(days=WINDOW)
        usage = database.table("usage_daily", project, start, last)
        self._usage = usage[~usage["is_evaluation"].astype(bool)]
        quality = database.table("quality_daily", project, start, last)
        self._quality = quality[~quality["is_evaluation"].astype(bool)]
        feedback = database.table("feedback_daily", project, start, last)
        self._feedback = feedback[~feedback["is_evaluation"].astype(bool)]

    def series(self, day: date) -> Series:
        """Every series as of a day: nothing later is in it."""
        first = day - timedelta(days=WINDOW - 1)
        found: Series = {}
        for scope, rows in _scoped(_until(self._usage, first, day)):
            found |= {(scope, name): values for name, values in _usage_series(rows)}
        for scope, rows in _scoped(_until(self._quality, first, day)):
            for metric, part in rows.groupby("metric"):
                weighted = part.assign(total=part["raw_judge_rate"] * part["n"])
                found[scope, f"pass_rate:{metric}"] = _ratio(weighted, "total", "n")
        for scope, rows in _scoped(_until(self._feedback, first, day)):
            for name, part in rows.groupby("score_name"):
                found[scope, f"positive_rate:{name}"] = _ratio(part, "positive", "n")
        return {key: value for key, value in found.items() if value[0] and value[0][-1] == day}


def _until(rows: pd.DataFrame, first: date, day: date) -> pd.DataFrame:
    return rows[(rows["day"] >= first) & (rows["day"] <= day)] if len(rows) else rows


def _scoped(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if not len(rows):
        return
    yield "total", rows
    for dimension in _SCOPES:
        for value, part in rows.groupby(dimension):
            if value != "":
                yield f"{dimension}={value}", part


def _usage_series(rows: pd.DataFrame) -> Iterator[tuple[str, tuple[list[date], np.ndarray]]]:
    money = rows.assign(cost_usd=rows["cost_usd"].astype(float))
    yield "cost_per_request", _ratio(money, "cost_usd", "requests")
    yield "input_tokens_per_request", _ratio(rows, "input_tokens", "requests")
    yield "output_tokens_per_request", _ratio(rows, "output_tokens", "requests")
    yield "error_rate", _ratio(rows, "errors", "requests")


def _ratio(rows: pd.DataFrame, top: str, bottom: str) -> tuple[list[date], np.ndarray]:
    sums = rows.groupby("day")[[top, bottom]].sum()
    sums = sums[sums[bottom] >= _SMALLEST]
    return list(sums.index), (sums[top] / sums[bottom]).to_numpy(dtype=float)
