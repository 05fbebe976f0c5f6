"""Are the traces that users rate like those that they do not? If not, their votes do not speak
for the rest.

For each trait of a trace the standardized difference of rated and unrated traces: the difference
of means over the pooled standard deviation (Cohen's d; more than 0.1 either way is taken as a
difference that matters, Austin 2009). Times and lengths are compared as logarithms. Stored are
sums, so that a period is as exact as a day, and late votes only add.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from llmops_jobs.lake.engine import exact_sum
from llmops_jobs.lake.shared import shared
from llmops_jobs.signals.cells import ERROR, every_trace

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables
    from llmops_jobs.store import Database

#: Trait -> whether it is a logarithm.
TRAITS: Final = {
    "latency_s": True,
    "output_tokens": True,
    "model_calls": False,
    "had_error": False,
    "evening_or_night": False,
}
MATTERS: Final = 0.1
_SUMS: Final = ["n", "total", "squares"]


def of_all(engine: Engine, lake: Lake, project: str, days: Sequence[date]) -> pd.DataFrame:
    """Sums over all product traces of each day: rows of feedback_moment."""
    wide = engine.run(_all, lake, project, days).to_pandas()
    parts = [
        pd.DataFrame(
            {
                "day": wide["day"],
                "given_day": wide["day"],
                "traces": "all",
                "trait": trait,
                "n": wide["n"],
                "total": wide[f"{trait}_total"],
                "squares": wide[f"{trait}_squares"],
            }
        )
        for trait in TRAITS
    ]
    return pd.concat(parts, ignore_index=True)


def of_rated(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], rated: pd.DataFrame
) -> pd.DataFrame:
    """Sums over the traces of `rated` (`day`, `given_day`, `trace_id`, distinct), which lie in
    `days`: rows of feedback_moment."""
    wanted = pa.table({"trace_id": pa.array(rated["trace_id"].unique(), pa.string())})
    traits = engine.run(_rated, lake, project, days, {"rated": wanted}).to_pandas()
    long = rated.merge(traits, on=["day", "trace_id"]).melt(
        ["day", "given_day"], list(TRAITS), var_name="trait"
    )
    long["value"] = long["value"].astype(float)
    sums = long.assign(n=1, total=long["value"], squares=long["value"] ** 2)
    keys = ["day", "given_day", "trait"]
    return sums.groupby(keys, as_index=False)[_SUMS].sum().assign(traces="rated")


def compare(moments: pd.DataFrame, by: Sequence[str] = ("day",)) -> pd.DataFrame:
    """Rows of feedback_bias from rows of feedback_moment, for each group of `by`."""
    keys = [*by, "trait"]
    sums = moments.groupby([*keys, "traces"])[_SUMS].sum().unstack("traces", fill_value=0.0)
    if sums.empty or not {"all", "rated"} <= set(sums.columns.get_level_values("traces")):
        return pd.DataFrame()
    every, mine = (sums.xs(name, axis=1, level="traces") for name in ("all", "rated"))
    rest = every - mine
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, other = mine["total"] / mine["n"], rest["total"] / rest["n"]
        pooled = np.sqrt((_variance(mine) + _variance(rest)) / 2)
        difference = (mean - other) / pooled
        n, m = mine["n"], rest["n"]
        error = 1.959964 * np.sqrt((n + m) / (n * m) + difference**2 / (2 * (n + m)))
    rows = pd.DataFrame(
        {
            "rated": n.astype(int),
            "unrated": m.astype(int),
            "rated_mean": mean,
            "unrated_mean": other,
            "difference": difference,
            "low": difference - error,
            "high": difference + error,
        }
    ).reset_index()
    log = rows["trait"].map(TRAITS).to_numpy(bool)
    for name in ("rated_mean", "unrated_mean"):
        rows[name] = np.where(log, np.exp(rows[name]), rows[name])
    rows["matters"] = (rows["low"] > MATTERS) | (rows["high"] < -MATTERS)
    usable = np.isfinite(rows["difference"]) & (rows["rated"] > 1) & (rows["unrated"] > 1)
    return rows[usable].reset_index(drop=True)


def over(database: Database, project: str, first: date, last: date) -> pd.DataFrame:
    """The comparison over the traces of a period, one row a trait."""
    return compare(database.table("feedback_moment", project, first, last), by=())


def _variance(sums: pd.DataFrame) -> pd.Series:
    return np.maximum(sums["squares"] - sums["total"] ** 2 / sums["n"], 0) / (sums["n"] - 1)


def _all(t: Tables) -> ir.Table:
    rows = _traits(shared(t, every_trace, otherwise=lambda t: _grouped(t["observations"])))
    rows = rows.filter(~rows.is_evaluation)
    sums = {"n": rows.count()}
    for trait in TRAITS:
        value = rows[trait].cast("float64")
        sums |= {f"{trait}_total": exact_sum(value), f"{trait}_squares": exact_sum(value * value)}
    return rows.group_by("day").agg(**sums)


def _rated(t: Tables) -> ir.Table:
    rows = _traits(_grouped(t["observations"].semi_join(t["rated"], "trace_id")))
    return rows.filter(~rows.is_evaluation).select("day", "trace_id", *TRAITS)


def _grouped(o: ir.Table) -> ir.Table:
    """Of `cells.every_trace` what traits are made of."""
    call = o.is_model_call
    return o.group_by(["day", "trace_id"]).agg(
        start=o.start_time.min(),
        end=o.end_time.coalesce(o.start_time).max(),
        output_tokens=o.output_tokens.sum(where=call),
        model_calls=call.sum(),
        failed=(call & (o.level == ERROR)).sum(),
        is_evaluation=o.is_evaluation.any(),
    )


def _traits(grouped: ir.Table) -> ir.Table:
    """The traits of each trace that has a model call on the day."""
    grouped = grouped.filter(grouped.model_calls > 0)
    seconds = grouped.end.delta(grouped.start, unit="microsecond") / 1_000_000.0
    hour = grouped.start.hour()
    tokens = grouped.output_tokens
    return grouped.mutate(
        latency_s=(seconds > 0.001).ifelse(seconds, 0.001).ln(),
        output_tokens=(tokens > 1).ifelse(tokens, 1).cast("float64").ln(),
        had_error=(grouped.failed > 0).cast("int8"),
        evening_or_night=((hour < 6) | (hour >= 18)).cast("int8"),
    )
