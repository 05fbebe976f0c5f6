"""The daily series behind the metrics: value, n and interval per day and slice, from the marts.

The intervals are Wilson's for rates and those between order statistics for percentiles, at 99 %.
`bad` counts what an objective counts against its budget; percentiles have `lowest` and `highest`
beside, their interval at one in a million.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_jobs.alerts.marts import Marts

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sa

CONFIDENCE = 0.99
# Standard deviations of the ranks of a percentile, of its 99 % interval, and of the one that chance
# leaves once in a million.
_PERCENTILE = ("value", "low", "high", "lowest", "highest")
_RANKS = np.array([0, -2.576, 2.576, -4.75, 4.75])
# (marts, by, where, within) -> day, the columns of `by` (and more labels), value, n, low, high.
Series = Callable[[Marts, Sequence[str], Mapping[str, str], float | None], "pd.DataFrame"]


def share(table: str, bad: str, total: str, only: Callable[[Any], Any] | None = None) -> Series:
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
            by,
            equal(table, where),
        )
        sums = sums[sums["n"] > 0]
        low, high = wilson(sums["bad"], sums["n"], CONFIDENCE)
        return sums.assign(value=sums["bad"] / sums["n"], low=low, high=high)

    return series


def ratio(table: str, top: Sequence[str], bottom: Sequence[str], n: str = "requests") -> Series:
    """A mean; its uncertainty is that of its days, not of its calls."""

    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        from llmops_jobs.store.tables import TABLES

        columns = TABLES[table].c
        wanted: dict[str, Any] = {"top": _plus(columns, top), "n": columns[n]}
        if bottom:
            wanted["bottom"] = _plus(columns, bottom)
        sums = marts.sums(table, wanted, by, equal(table, where))
        value = sums["top"]
        if bottom:
            sums = sums[sums["bottom"] > 0]
            value = sums["top"] / sums["bottom"]
        return sums.assign(value=value, low=value, high=value)

    return series


def _plus(columns: Any, names: Sequence[str]) -> Any:
    return functools.reduce(operator.add, (columns[name] for name in names))


def percentile(level: str, metric: str, q: float) -> Series:
    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        import pandas as pd

        histogram = _histogram(marts, level, metric, by, where)
        keys = ["day", *by]
        rows = []
        for key, part in histogram.groupby(keys, sort=False):
            counts, values = part["n"].to_numpy(), part["seconds"].to_numpy()
            reached, n = counts.cumsum(), counts.sum()
            ranks = np.clip(q * n + _RANKS * np.sqrt(n * q * (1 - q)), 0.5, n)
            found = values[np.searchsorted(reached, ranks).clip(max=len(values) - 1)]
            rows.append([*(key if isinstance(key, tuple) else (key,)), n, *found])
        return pd.DataFrame(rows, columns=[*keys, "n", *_PERCENTILE])

    return series


def slow(level: str, metric: str) -> Series:
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
        [table.c.level == level, table.c.metric == metric, *equal(table.name, where)],
    )
    rows = rows[rows["n"] > 0].sort_values("bucket")
    return rows.assign(seconds=middle(rows["bucket"], (rows["weighted"] / rows["n"]).to_numpy()))


def pass_rate(
    marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
) -> pd.DataFrame:
    """Share that passes by the scorer (or the model of people's labels) alone, by quality metric;
    by one dimension at most, as the mart is.

    What compares days must measure the same on each: estimates anchored on the labels of a day are
    there on some days only. `n` is the effective size of the weighted sample.
    """
    import pandas as pd
    import sqlalchemy as sa

    from llmops_jobs.signals.intervals import wilson
    from llmops_jobs.store.tables import TABLES

    table = TABLES["quality_sums"]
    c = table.c
    (name, value), *more = [*where.items(), *((dimension, None) for dimension in by)] or [("", "")]
    assert not more, "the settings refuse a second dimension"
    scope = "total" if not name else f"{name}={value}" if value is not None else f"{name}=%"
    predicted = c.part == "predicted"
    passed = {
        "wy": sa.case((predicted, c.wf), else_=c.wy),
        "w2_y": sa.case((predicted, c.w2_f), else_=c.w2_y),
        "w2_yy": sa.case((predicted, c.w2_ff), else_=c.w2_y),
    }
    sums = marts.sums(
        table.name,
        {"rows": c.n, "w": c.w, "w2": c.w2, **passed},
        ["scope", "metric"],
        [
            c.part.in_(("scored", "predicted")),
            c.scope.like(scope) if value is None else c.scope == scope,
        ],
    )
    sums = sums[sums["w"] > 0]
    if sums.empty:
        return sums
    rate = (sums["wy"] / sums["w"]).clip(0, 1)
    # Korn & Graubard 1998: the size of a plain sample with the linearised variance.
    variance = (sums["w2_yy"] - 2 * rate * sums["w2_y"] + rate**2 * sums["w2"]) / sums["w"] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        implied = rate * (1 - rate) / variance
    size = implied.where((rate > 0) & (rate < 1) & (variance > 0), sums["w"] ** 2 / sums["w2"])
    size = np.minimum(size, sums["rows"])
    low, high = wilson(rate * size, size, CONFIDENCE)
    labels = {name: sums["scope"].str.partition("=")[2]} if by else {}
    return pd.DataFrame(
        {
            "day": sums["day"],
            **labels,
            "quality": sums["metric"],
            "value": rate,
            "n": size,
            "bad": size * (1 - rate),
            "low": low,
            "high": high,
        }
    )


def copied(bad: str) -> Series:
    """Shares of the copy; of everything, without slices."""

    def series(
        marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
    ) -> pd.DataFrame:
        return share("reconciliation", bad, "rows_here")(marts, (), {}, None)

    return series


def votes(
    marts: Marts, by: Sequence[str], where: Mapping[str, str], within: float | None
) -> pd.DataFrame:
    """Share of the users' votes that are for, by score; neutral ones do not count."""
    from llmops_jobs.signals.intervals import wilson
    from llmops_jobs.store.tables import TABLES

    table = TABLES["feedback_daily"]
    sums = marts.sums(
        table.name,
        {"good": table.c.positive, "bad": table.c.negative},
        [*by, "score_name"],
        [table.c.source == "API", *equal(table.name, where)],
    )
    n = sums["good"] + sums["bad"]
    sums = sums.assign(n=n)[n > 0]
    low, high = wilson(sums["good"], sums["n"], CONFIDENCE)
    value = sums["good"] / sums["n"]
    return sums.drop(columns="good").assign(value=value, low=low, high=high)


def equal(table: str, where: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    """The conditions of a rule's `where` on a mart."""
    from llmops_jobs.store.tables import TABLES

    columns = TABLES[table].c
    return [
        columns[name].is_(value.lower() in ("true", "1"))
        if name == "is_evaluation"
        else columns[name] == value
        for name, value in where.items()
    ]
