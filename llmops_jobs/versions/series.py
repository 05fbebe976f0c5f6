"""The daily series in which change points are looked for: from the marts, and speed from the lake.

A day's value depends on that day alone, so all series of a run are computed once, as columns of one
frame, and cut as of each night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.deployment import Deployment
from llmops_jobs.versions.change_points import WINDOW, Panel

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

SCOPES = ("model", "feature", "tenant", "prompt_name")
_SPEND_SHARE = 0.01  # of cost or tokens; the course of a smaller slice moves nothing
_SMALLEST = 30  # calls a day; a smaller slice has no daily level worth the name
_SMALLEST_TAIL = 100  # for a 95th percentile

# Metric of usage_daily -> what is divided by `requests`, and whether changes of it are ratios.
_PER_REQUEST = {
    "cost_per_request": ("cost_usd", True),
    "input_tokens_per_request": ("input_tokens", True),
    "output_tokens_per_request": ("output_tokens", True),
    "error_rate": ("errors", False),
}
_SPEED = {
    "latency_p50": ("latency_s", 0.5),
    "latency_p95": ("latency_s", 0.95),
    "time_to_first_token_p50": ("time_to_first_token_s", 0.5),
    "time_to_first_token_p95": ("time_to_first_token_s", 0.95),
}
_RELATIVE = {*_SPEED, *(metric for metric, (_, relative) in _PER_REQUEST.items() if relative)}


class Series:
    """Every series of a project from `first`, with the window before it, to `last`."""

    def __init__(self, deployment: Deployment, project: str, first: date, last: date) -> None:
        import pandas as pd

        self._spend: pd.DataFrame | None = None
        self._levels: dict[tuple[str, str], pd.Series] = {}
        self._trials: dict[tuple[str, str], pd.Series] = {}
        marts = _Marts(deployment, project, first - timedelta(days=WINDOW), last)
        self.usage = marts.usage()
        for metric, (top, relative) in _PER_REQUEST.items():
            self._add(self.usage, top, "requests", metric, rate=not relative)
        for metric, rows in marts.passed().groupby("metric"):
            self._add(rows, "passed", "n", f"pass_rate:{metric}", rate=True)
        for name, rows in marts.votes().groupby("score_name"):
            self._add(rows, "positive", "n", f"positive_rate:{name}", rate=True)
        self._levels |= marts.speed()
        self._values = pd.DataFrame(self._levels).sort_index()
        self._n = pd.DataFrame(self._trials).reindex(self._values.index)
        self._relative = np.array([m in _RELATIVE for _, m in self._levels], dtype=bool)

    def panel(self, day: date) -> Panel | None:
        """Every series that has a value on `day`, cut there: nothing later is in it."""
        if self._values.empty or day not in self._values.index:
            return None
        window = slice(day - timedelta(days=WINDOW - 1), day)
        seen = self._values.loc[window]
        twins = self._twins(day)
        alive = seen.iloc[-1].notna().to_numpy()
        alive = alive & np.array([scope not in twins for scope, _ in seen.columns])
        keys = [key for key, lives in zip(seen.columns, alive, strict=True) if lives]
        return Panel(
            days=list(seen.index),
            keys=keys,
            values=seen.to_numpy()[:, alive],
            trials=self._n.loc[window].reindex(columns=seen.columns[alive]).to_numpy(dtype=float),
            relative=self._relative[alive],
        )

    def spend(self, day: date) -> pd.DataFrame:
        """Daily cost and tokens up to `day`, a column for each (scope, metric) that carries a
        hundredth of them; NaN is a day without any usage."""
        import pandas as pd

        if self._spend is None:
            rows = self.usage.assign(
                tokens=self.usage["input_tokens"] + self.usage["output_tokens"]
            )
            self._spend = pd.DataFrame(
                {
                    (scope, metric): sums[metric].astype(float)
                    for scope, sums in _sums(rows, "cost_usd", "tokens")
                    for metric in ("cost_usd", "tokens")
                }
            ).sort_index()
        window = self._spend.loc[day - timedelta(days=WINDOW - 1) : day]
        if window.empty:
            return window
        window = window.reindex(
            [window.index[0] + timedelta(days=n) for n in range((day - window.index[0]).days + 1)]
        )
        sums = window.sum()
        twins = self._twins(day)
        carried = [
            (scope, metric)
            for scope, metric in window.columns
            if sums[scope, metric] >= _SPEND_SHARE * sums["total", metric] > 0
            and scope not in twins
        ]
        return window[carried]

    def usage_of(self, scope: str, day: date) -> pd.DataFrame:
        """Rows of usage_daily up to `day` of the calls that a scope is made of."""
        rows = self.usage[self.usage["day"] <= day]
        dimension, _, value = scope.partition("=")
        return rows if scope == "total" else rows[rows[dimension] == value]

    def _twins(self, day: date) -> set[str]:
        """Prompts that are one feature's main prompt and nobody else's: its series say the same."""
        rows = self.usage[self.usage["day"] == day]
        calls = rows.groupby(["prompt_name", "feature"])["requests"].sum()
        of_prompt = calls.groupby(level=0).transform("sum")
        of_feature = calls.groupby(level=1).transform("sum")
        alone = calls[(calls > 0.95 * of_prompt) & (calls > 0.5 * of_feature)]
        return {f"prompt_name={name}" for name, feature in alone.index if name and feature}

    def _add(self, rows: pd.DataFrame, top: str, bottom: str, metric: str, *, rate: bool) -> None:
        for scope, sums in _sums(rows, top, bottom):
            enough = sums[bottom] >= _SMALLEST
            if enough.any():
                self._levels[scope, metric] = (sums[top] / sums[bottom]).where(enough).astype(float)
                if rate:
                    self._trials[scope, metric] = sums[bottom].astype(float)


class _Marts:
    """Sums by day and slicing dimension, of product traffic."""

    def __init__(self, deployment: Deployment, project: str, first: date, last: date) -> None:
        self._deployment = deployment
        self._project = project
        self._days = (first, last)

    def usage(self) -> pd.DataFrame:
        names = [
            "requests",
            "cost_usd",
            "input_tokens",
            "output_tokens",
            "errors",
            "prompt_version",
        ]
        rows = self._read("usage_daily", names)
        return rows.assign(cost_usd=rows["cost_usd"].astype(float))

    def passed(self) -> pd.DataFrame:
        rows = self._read("quality_daily", ["metric", "n", "raw_judge_rate"])
        return rows.assign(passed=rows["raw_judge_rate"].astype(float) * rows["n"])

    def votes(self) -> pd.DataFrame:
        return self._read("feedback_daily", ["score_name", "n", "positive"])

    def speed(self) -> dict[tuple[str, str], pd.Series]:
        from llmops_jobs.lake.batches import batches

        lake, (first, last) = self._deployment.lake, self._days
        found: dict[tuple[str, str], pd.Series] = {}
        days = [day for day in lake.days("observations", self._project) if first <= day <= last]
        tables = [
            self._deployment.engine.run(speed, lake, self._project, batch).to_pandas()
            for batch in batches(lake, self._project, days)
        ]
        for scope, rows in _concat(tables).groupby("scope"):
            by_day = rows.set_index("day")
            for metric, (column, quantile) in _SPEED.items():
                least = _SMALLEST if quantile == 0.5 else _SMALLEST_TAIL
                level = by_day[metric].where(by_day[f"n_{column}"] >= least)
                if level.notna().any():
                    found[str(scope), metric] = level.astype(float)
        return found

    def _read(self, table: str, names: Sequence[str]) -> pd.DataFrame:
        import sqlalchemy as sa

        from llmops_jobs.store.tables import TABLES

        c = TABLES[table].c
        query = sa.select(c.day, *(c[name] for name in (*SCOPES, *names))).where(
            c.project_id == self._project, c.day.between(*self._days), c.is_evaluation.is_(False)
        )
        return self._deployment.database.read(query)


def speed(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Quantiles of answered product calls by day and scope (an engine definition)."""
    import ibis

    calls = tables["observations"]
    calls = calls.filter(calls.is_model_call & ~calls.is_evaluation & (calls.level != "ERROR"))
    parts = [calls.mutate(scope=ibis.literal("total"))]
    for dimension in SCOPES:
        named = calls.filter(calls[dimension].fill_null("") != "")
        parts.append(named.mutate(scope=ibis.literal(f"{dimension}=") + named[dimension]))
    columns = ["day", "scope", "latency_s", "time_to_first_token_s"]
    rows = ibis.union(*(part.select(*columns) for part in parts), distinct=False)
    return rows.group_by("day", "scope").agg(
        **{f"n_{column}": rows[column].count() for column in columns[2:]},
        **{metric: rows[column].quantile(q) for metric, (column, q) in _SPEED.items()},
    )


def _concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(tables) if tables else pd.DataFrame(columns=["scope"])


def _sums(rows: pd.DataFrame, top: str, bottom: str) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "total", rows.groupby("day")[[top, bottom]].sum()
    for dimension in SCOPES:
        by_value = rows.groupby([dimension, "day"])[[top, bottom]].sum()
        for value, sums in by_value.groupby(level=0):
            if value != "":
                yield f"{dimension}={value}", sums.droplevel(0)
