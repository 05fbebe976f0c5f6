"""The metrics that a rule or an objective can name: a number per day and slice, with its n.

A value comes with `low` and `high`, its 99 % interval where it has one (Wilson's for rates, between
order statistics for percentiles); a rule fires on the end of the interval that must cross the
bound, so that five calls wake nobody. `bad` counts what an objective counts against its budget.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmops_jobs.alerts.marts import Marts

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sa

CONFIDENCE = 0.99
Unit = Literal["share", "usd", "s", "count"]
# (marts, by, where, within) -> day, the columns of `by` (and more labels), value, n, low, high.
Series = Callable[[Marts, Sequence[str], Mapping[str, str], float | None], "pd.DataFrame"]


@dataclass(frozen=True)
class Metric:
    """`mass` is the column of usage_daily whose slices say who contributes."""

    topic: str
    unit: Unit
    says: str
    series: Series
    mass: str = "requests"
    countable: bool = False
    timed: bool = False


def _share(
    table: str, bad: str, total: str, only: Callable[[Any], Any] | None = None, labels: str = ""
) -> Series:
    """bad / total; `only` is a condition on the rows that count as bad."""

    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        import sqlalchemy as sa

        from llmops_jobs.signals.intervals import wilson
        from llmops_jobs.store.tables import TABLES

        columns = TABLES[table].c
        counted = sa.case((only(columns), columns[bad]), else_=0) if only else columns[bad]
        sums = marts.sums(
            table,
            {"bad": counted, "n": columns[total]},
            [*by, *filter(None, [labels])],
            _equal(table, where),
        )
        sums = sums[sums["n"] > 0]
        low, high = wilson(sums["bad"], sums["n"], CONFIDENCE)
        return sums.assign(value=sums["bad"] / sums["n"], low=low, high=high)

    return series


def _ratio(table: str, top: Sequence[str], bottom: Sequence[str], n: str = "requests") -> Series:
    """A mean; its uncertainty is that of its days, not of its calls."""

    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        from llmops_jobs.store.tables import TABLES

        columns = TABLES[table].c
        wanted: dict[str, Any] = {"top": _plus(columns, top), "n": columns[n]}
        if bottom:
            wanted["bottom"] = _plus(columns, bottom)
        sums = marts.sums(table, wanted, by, _equal(table, where))
        value = sums["top"]
        if bottom:
            sums = sums[sums["bottom"] > 0]
            value = sums["top"] / sums["bottom"]
        return sums.assign(value=value, low=value, high=value)

    return series


def _plus(columns: Any, names: Sequence[str]) -> Any:
    return functools.reduce(operator.add, (columns[name] for name in names))


def _percentile(level: str, metric: str, q: float) -> Series:
    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        histogram = _histogram(marts, level, metric, by, where)
        keys = ["day", *by]
        rows = []
        for key, part in histogram.groupby(keys, sort=False):
            counts, values = part["n"].to_numpy(), part["seconds"].to_numpy()
            reached, n = counts.cumsum(), counts.sum()
            spread = 2.576 * np.sqrt(n * q * (1 - q))
            ranks = np.clip([q * n, q * n - spread, q * n + spread], 0.5, n)
            value, low, high = values[np.searchsorted(reached, ranks).clip(max=len(values) - 1)]
            rows.append([*(key if isinstance(key, tuple) else (key,)), value, n, low, high])
        return pd.DataFrame(rows, columns=[*keys, "value", "n", "low", "high"])

    return series


def _slow(level: str, metric: str) -> Series:
    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        from llmops_jobs.signals.intervals import wilson

        rows = _histogram(marts, level, metric, by, where)
        rows = rows.assign(bad=rows["n"].where(rows["seconds"] > (within or 0.0), 0.0))
        sums = rows.groupby(["day", *by], as_index=False)[["bad", "n"]].sum()
        low, high = wilson(sums["bad"], sums["n"], CONFIDENCE)
        return sums.assign(value=sums["bad"] / sums["n"], low=low, high=high)

    return series


def _histogram(
    marts: Marts, level: str, metric: str, by: Sequence[str], where: Mapping[str, str]
) -> pd.DataFrame:
    """day, by, seconds (middle of the bucket, ascending), n."""
    from llmops_jobs.signals.histogram import middle
    from llmops_jobs.store.tables import TABLES

    table = TABLES["latency_histogram"]
    rows = marts.sums(
        table.name,
        {"n": table.c.n, "weighted": table.c.n * table.c.gamma},
        [*by, "bucket"],
        [table.c.level == level, table.c.metric == metric, *_equal(table.name, where)],
    )
    rows = rows[rows["n"] > 0].sort_values("bucket")
    return rows.assign(seconds=middle(rows["bucket"], (rows["weighted"] / rows["n"]).to_numpy()))


def _pass_rate(
    marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
) -> pd.DataFrame:
    """Share that passes, by quality metric; by one dimension at most, as the mart is."""
    import pandas as pd
    import sqlalchemy as sa

    from llmops_jobs.signals.intervals import wilson
    from llmops_jobs.store.tables import TABLES

    table = TABLES["quality_window"]
    (name, value), *more = [*where.items(), *((dimension, None) for dimension in by)] or [("", "")]
    assert not more, "the settings refuse a second dimension"
    scope = "total" if not name else f"{name}={value}" if value is not None else f"{name}=%"
    estimate = sa.func.coalesce(table.c.estimate, table.c.raw_judge_rate)
    sums = marts.sums(
        "quality_window",
        {"n": table.c.n, "estimate": estimate, "low_": table.c.low, "high_": table.c.high},
        ["scope", "metric"],
        [
            table.c.window_days == 1,
            table.c.scope.like(scope) if value is None else table.c.scope == scope,
        ],
    )
    if sums.empty:
        return sums
    sums = sums[(sums["n"] > 0) & sums["estimate"].notna()]
    low, high = wilson(sums["estimate"] * sums["n"], sums["n"], CONFIDENCE)
    labels = {name: sums["scope"].str.partition("=")[2]} if by else {}
    return pd.DataFrame(
        {
            "day": sums["day"],
            **labels,
            "quality": sums["metric"],
            "value": sums["estimate"],
            "n": sums["n"],
            "bad": sums["n"] * (1 - sums["estimate"]),
            # The mart's own interval is wider where it knows of more than sampling.
            "low": sums["low_"].where(sums["low_"] < low, low),
            "high": sums["high_"].where(sums["high_"] > high, high),
        }
    )


def _copied(bad: str) -> Series:
    """Shares of the copy; of everything, without slices."""

    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        return _share("reconciliation", bad, "rows_here")(marts, (), {}, None)

    return series


def _voted(score: str, n: str) -> Series:
    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        from llmops_jobs.store.tables import TABLES

        table = TABLES["feedback_daily"]
        rows = _share("feedback_daily", score, n, lambda c: c.source == "API", "score_name")
        found = rows(marts, by, {**where}, None)
        voted = marts.sums(
            "feedback_daily",
            {"votes": table.c.positive + table.c.negative},
            ["score_name"],
            [table.c.source == "API"],
        )
        names = set(voted.loc[voted["votes"] > 0, "score_name"])
        found = found[found["score_name"].isin(names)]
        return found.assign(bad=found["n"] - found["bad"])

    return series


def _equal(table: str, where: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    from llmops_jobs.store.tables import TABLES

    columns = TABLES[table].c
    return [
        columns[name].is_(value.lower() in ("true", "1"))
        if name == "is_evaluation"
        else columns[name] == value
        for name, value in where.items()
    ]


_USAGE = "usage_daily"
METRICS: dict[str, Metric] = {
    "error_rate": Metric(
        "errors",
        "share",
        "failed model calls",
        _share(_USAGE, "errors", "requests"),
        "errors",
        countable=True,
    ),
    "rate_limited_share": Metric(
        "errors",
        "share",
        "model calls refused for a rate limit",
        _share("error_daily", "requests", "requests", lambda c: c.error_type == "rate_limit"),
        "errors",
        countable=True,
    ),
    "unpriced_share": Metric(
        "prices",
        "share",
        "model calls without a price",
        _share(_USAGE, "requests", "requests", lambda c: c.price_status == "unpriced"),
        countable=True,
    ),
    "cost_usd": Metric("spend", "usd", "spend", _ratio(_USAGE, ["cost_usd"], []), "cost_usd"),
    "requests": Metric("traffic", "count", "model calls", _ratio(_USAGE, ["requests"], [])),
    "cost_per_request": Metric(
        "spend",
        "usd",
        "cost of a model call",
        _ratio(_USAGE, ["cost_usd"], ["requests"]),
        "cost_usd",
    ),
    "cost_per_million_tokens": Metric(
        "prices",
        "usd",
        "cost of a million tokens",
        _ratio(_USAGE, ["cost_usd"], ["input_tokens", "output_tokens"]),
        "cost_usd",
    ),
    "input_tokens_per_request": Metric(
        "tokens",
        "count",
        "input tokens of a model call",
        _ratio(_USAGE, ["input_tokens"], ["requests"]),
        "input_tokens",
    ),
    "output_tokens_per_request": Metric(
        "tokens",
        "count",
        "output tokens of a model call",
        _ratio(_USAGE, ["output_tokens"], ["requests"]),
        "output_tokens",
    ),
    "cache_hit_share": Metric(
        "tokens",
        "share",
        "input tokens served from cache",
        _ratio(_USAGE, ["cache_read_tokens"], ["input_tokens"]),
        "input_tokens",
    ),
    "wasted_usd": Metric(
        "errors",
        "usd",
        "spend that was of no use",
        _ratio("waste_daily", ["wasted_usd"], []),
        "cost_usd",
    ),
    "positive_rate": Metric(
        "feedback",
        "share",
        "votes of users that are positive",
        _voted("positive", "n"),
        countable=True,
    ),
    "pass_rate": Metric("quality", "share", "answers that pass", _pass_rate, countable=True),
    "latency": Metric(
        "speed",
        "share",
        "traces slower than the objective",
        _slow("trace", "latency"),
        countable=True,
        timed=True,
    ),
    "time_to_first_token": Metric(
        "speed",
        "share",
        "model calls slower to their first token than the objective",
        _slow("observation", "time_to_first_token"),
        countable=True,
        timed=True,
    ),
    **{
        f"{name}_p{q}": Metric(
            "speed", "s", f"{says}, {q}th percentile", _percentile(level, metric, q / 100)
        )
        for name, level, metric, says in (
            ("latency", "trace", "latency", "end-to-end latency"),
            ("call_latency", "observation", "latency", "latency of a model call"),
            ("time_to_first_token", "observation", "time_to_first_token", "time to first token"),
        )
        for q in (50, 95, 99)
    },
    "late_share": Metric("data", "share", "rows that came late", _copied("late_rows")),
    "duplicate_share": Metric(
        "data", "share", "rows that the source sent twice", _copied("duplicates")
    ),
}
# The metrics that are kept by one dimension at a time, and those that have none.
ONE_DIMENSION = frozenset({"pass_rate"})
NO_DIMENSION = frozenset({"late_share", "duplicate_share"})
