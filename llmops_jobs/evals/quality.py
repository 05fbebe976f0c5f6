"""Quality of a day and of the weeks before it: scores and labels turned into rates with intervals.

A scorer's own metric is the share of calls that pass it, weighted for sampling. A metric that
people label is estimated from their labels, with the judge's (or the quality model's) verdict on
every call where there is one; without labels it is *uncalibrated*: no estimate, only what the
scorer says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.evals.agreement import agreement, label_rows
from llmops_jobs.evals.estimate import (
    Interval,
    Sums,
    anchored_rate,
    weighted_rate,
    weighted_rates,
)
from llmops_jobs.evals.labelled import labelled
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.evals.tallies import SUMS, added, sums_of, tallies
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

WINDOWS = (1, 7, 28)
SCOPES = ("environment", "feature", "model", "prompt_name", "prompt", "tenant")


def quality_day(
    lake: Lake, database: Database, project: str, day: date, settings: EvalSettings
) -> pd.DataFrame:
    """Replaces a day's `quality_daily`, `quality_sums` and `quality_window`; the windows come back.

    Labels count on the day they were given; nothing later than `day` is read.
    """
    labels = labelled(lake, database, project, day, settings)
    sums = tallies(lake, database, project, day, settings)
    if len(labels):
        people = added(sums_of(labels), [*DIMENSIONS, "metric"])
        sums = pd.concat([sums, people], ignore_index=True) if len(sums) else people
    database.replace_day("quality_daily", project, day, daily(sums))
    database.replace_day("quality_sums", project, day, by_scope(sums))
    database.replace_day("human_label", project, day, label_rows(labels))
    database.replace_day("judge_agreement", project, day, agreement(database, project, day))
    windows = window_rates(database, project, day)
    database.replace_day("quality_window", project, day, windows)
    return windows


def daily(sums: pd.DataFrame) -> pd.DataFrame:
    """Rows of `quality_daily`: one per cell of dimensions and metric."""
    return _rates(sums, [*DIMENSIONS, "metric"]).drop(columns="note")


def by_scope(sums: pd.DataFrame) -> pd.DataFrame:
    """Rows of `quality_sums`: product calls only, in total and by one dimension at a time."""
    product = sums[~sums["is_evaluation"].astype(bool)]
    prompt = product["prompt_name"] + "@" + product["prompt_version"]
    product = product.assign(prompt=prompt.where(product["prompt_name"] != "", ""))
    parts = [added(product, ["metric"]).assign(scope="total")]
    for dimension in SCOPES:
        found = added(product[product[dimension] != ""], [dimension, "metric"])
        scope = f"{dimension}=" + found[dimension]
        parts.append(found.assign(scope=scope).drop(columns=dimension))
    return pd.concat(parts, ignore_index=True)


def window_rates(database: Database, project: str, day: date) -> pd.DataFrame:
    """Rows of `quality_window` for the windows that end on `day`, from the days' sums."""
    table = TABLES["quality_sums"].c
    keys = [table.scope, table.metric, table.part]
    parts = []
    for length in WINDOWS:
        query = (
            # Postgres adds integers up as numerics.
            sa.select(
                *keys,
                *(sa.cast(sa.func.sum(table[n]), table[n].type).label(n) for n in SUMS),
            )
            .where(
                table.project_id == project,
                table.day > day - timedelta(days=length),
                table.day <= day,
            )
            .group_by(*keys)
            .order_by(*keys)
        )
        parts.append(_rates(database.read(query), ["scope", "metric"]).assign(window_days=length))
    return pd.concat(parts, ignore_index=True)


def _rates(sums: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """One row per group of `by`: the estimate, its interval, its method and a note in words."""
    names = [*by, "n", "n_human", "estimate", "low", "high", "raw_judge_rate", "method", "note"]
    ruled = sums[sums["part"] == "scored"]
    found = weighted_rates(*(ruled[name].to_numpy(dtype=float) for name in _RATE_SUMS))
    scored = {
        **{key: ruled[key].tolist() for key in by},
        "n": ruled["n"].tolist(),
        "n_human": [0] * len(ruled),
        "estimate": found.estimate.tolist(),
        "low": found.low.tolist(),
        "high": found.high.tolist(),
        "raw_judge_rate": (ruled["wf"] / ruled["w"]).tolist(),
        "method": found.method,
        "note": [
            f"share of {n} scored calls, weighted for how they were drawn" for n in ruled["n"]
        ],
    }
    grouped: dict[tuple[Any, ...], dict[str, Sums]] = {}
    other = sums[sums["part"] != "scored"]
    for row in zip(*(other[name].tolist() for name in [*by, "part", *SUMS]), strict=True):
        grouped.setdefault(row[: len(by)], {})[row[len(by)]] = Sums(*row[len(by) + 1 :])
    records = [(*key, *_rate(parts)) for key, parts in grouped.items()]
    for name, values in zip(names, zip(*records, strict=True), strict=False):
        scored[name] = [*scored[name], *values]
    return pd.DataFrame({name: pd.Series(scored[name], dtype=object) for name in names})


_RATE_SUMS = ("n", "w", "wy", "w2", "w2_y")


def _rate(parts: dict[str, Sums]) -> tuple[object, ...]:
    """Of a metric that people label."""
    labels, predicted = parts.get("labelled", Sums()), parts.get("predicted", Sums())
    unpredicted = parts.get("unpredicted", Sums())
    n_human = labels.n + unpredicted.n
    raw = predicted.wf / predicted.w if predicted.w else math.nan
    if not n_human:
        note = f"uncalibrated: no label by people; the scorer alone would pass {raw:.1%}"
        return (predicted.n, 0, math.nan, math.nan, math.nan, raw, "uncalibrated", note)
    if labels.n >= unpredicted.n:
        found = anchored_rate(labels, predicted)
    else:
        found = weighted_rate(labels + unpredicted)
    if found.method == "ppi++":
        note = f"{labels.n} labels by people, and a prediction for {predicted.n} calls"
    else:
        note = f"{n_human} labels by people alone"
    return (max(predicted.n, n_human), n_human, *_numbers(found), raw, found.method, note)


def _numbers(found: Interval) -> tuple[float, float, float]:
    return found.estimate, found.low, found.high
