"""The metrics that a rule can name: each a number per slice of one day, with its n.

Every metric reads marts only. A value comes with `low` and `high`, the 95 % interval, where it is
a rate: a rule fires on the end of the interval that must cross the bound, so that five calls do
not page anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from llmops_jobs.errors import ConfigError
from llmops_jobs.store import Database

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Metric:
    """`compute` gets the day's rows of `table` and the slice columns; it returns a frame with the
    slice columns and value, n, low, high."""

    table: str
    compute: Callable[[pd.DataFrame, Sequence[str]], pd.DataFrame]
    unit: str  # share, usd, s
    says: str


def evaluate(
    database: Database,
    project: str,
    day: date,
    metric: str,
    by: Sequence[str],
    where: dict[str, str],
) -> pd.DataFrame:
    """One row per slice: the columns of `by`, then value, n, low, high. Product traffic only."""
    known = METRICS.get(metric)
    if known is None:
        raise ConfigError(f"unknown metric {metric}: there are {', '.join(sorted(METRICS))}")
    rows = database.table(known.table, project, day, day)
    if "is_evaluation" in rows:
        rows = rows[~rows["is_evaluation"].astype(bool)]
    for name, value in where.items():
        rows = rows[rows[name].astype(str) == value]
    return known.compute(rows, list(by))


def _rate(
    numerator: str, denominator: str
) -> Callable[[pd.DataFrame, Sequence[str]], pd.DataFrame]:
    def compute(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
        from llmops_jobs.signals.intervals import wilson

        sums = _summed(rows, by, [numerator, denominator])
        sums = sums[sums[denominator] > 0]
        low, high = wilson(sums[numerator].to_numpy(), sums[denominator].to_numpy())
        return sums[list(by)].assign(
            value=sums[numerator] / sums[denominator], n=sums[denominator], low=low, high=high
        )

    return compute


def _total(column: str) -> Callable[[pd.DataFrame, Sequence[str]], pd.DataFrame]:
    def compute(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
        sums = _summed(
            rows.assign(**{column: rows[column].astype(float)}), by, [column, "requests"]
        )
        value = sums[column]
        return sums[list(by)].assign(value=value, n=sums["requests"], low=value, high=value)

    return compute


def _unpriced(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    marked = rows.assign(unpriced=rows["requests"].where(rows["price_status"] == "unpriced", 0))
    return _rate("unpriced", "requests")(marked, by)


def _percentile(q: float) -> Callable[[pd.DataFrame, Sequence[str]], pd.DataFrame]:
    def compute(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
        import pandas as pd

        from llmops_jobs.signals.histogram import quantile

        rows = rows[(rows["metric"] == "latency") & (rows["level"] == "trace")]
        groups = [((), rows)] if not by else list(rows.groupby(list(by)))
        found = []
        for key, group in groups:
            if len(group):
                value = float(quantile(group, q))
                found.append([*key, value, int(group["n"].sum()), value, value])
        return pd.DataFrame(found, columns=[*by, "value", "n", "low", "high"])

    return compute


def _summed(rows: pd.DataFrame, by: Sequence[str], columns: list[str]) -> pd.DataFrame:
    if by:
        return rows.groupby(list(by), as_index=False)[columns].sum()
    return rows[columns].sum().to_frame().T if len(rows) else rows[columns]


METRICS: dict[str, Metric] = {
    "error_rate": Metric(
        "usage_daily", _rate("errors", "requests"), "share", "model calls that failed"
    ),
    "unpriced_share": Metric("usage_daily", _unpriced, "share", "model calls without a price"),
    "cost_usd": Metric("usage_daily", _total("cost_usd"), "usd", "spend of the day"),
    "requests": Metric("usage_daily", _total("requests"), "count", "model calls"),
    "positive_rate": Metric(
        "feedback_daily", _rate("positive", "n"), "share", "votes that are positive"
    ),
    "latency_p95": Metric("latency_histogram", _percentile(0.95), "s", "end-to-end p95"),
}
