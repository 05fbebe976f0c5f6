"""What an outcome costs: spend per successful request, positive vote, passed evaluation, session.

The spend of a trace is that of all its model calls, and belongs to the trace's dimensions (root,
answering call), so that an answer is charged with its retrieval and its retries. Intervals are
Fieller's, over traces (sessions for the unit `session`) as independent clusters.

| unit | counted |
|---|---|
| successful_request | model calls that did not end in an error |
| positive_feedback | traces with a positive vote of a user, given by now |
| passed_evaluation | answers that passed all their scorers, weighted by 1 / inclusion probability |
| session | distinct sessions; spend of traces with a session only |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.signals import intervals, votes
from llmops_jobs.signals.cells import CELL, ERROR, tails, whole_traces
from llmops_jobs.signals.settings import FeedbackSettings
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables
    from llmops_jobs.store import Database

UNITS: Final = ("successful_request", "positive_feedback", "passed_evaluation", "session")
_KEY: Final = ["day", "trace_id", "observation_id"]
_COLUMNS: Final = ["day", "scope", "unit", "n", "cost_usd", "usd_per_unit", "low", "high"]
# Units of traces, where they are not in the lake: votes and passed evaluations.
_MARKS: Final = pa.schema(
    [
        ("day", pa.date32()),
        ("trace_id", pa.string()),
        ("votes", pa.float64()),
        ("passes", pa.float64()),
    ]
)


def measure(
    engine: Engine,
    lake: Lake,
    database: Database,
    project: str,
    days: Sequence[date],
    settings: FeedbackSettings,
) -> pd.DataFrame:
    """Rows of unit_cost_daily, with `day`."""
    extra = {
        "tails": tails(engine, lake, project, days),
        "marks": _marks(lake, database, project, days, settings),
    }
    cells = engine.run(_cells, lake, project, days, extra).to_pandas()
    sessions = engine.run(_sessions, lake, project, days, extra).to_pandas()
    rows = [
        *_of_traces(cells, "successful_request", "ok"),
        *_of_traces(cells, "positive_feedback", "votes"),
        *_of_traces(cells, "passed_evaluation", "passes"),
        *_of_sessions(sessions),
    ]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=_COLUMNS)


def _cells(t: Tables) -> ir.Table:
    """Sums over the traces of each cell: of cost, of each unit, of squares and of products."""
    rows = _traces(t).left_join(t["marks"], ["day", "trace_id"])
    rows = rows.mutate(votes=rows.votes.fill_null(0.0), passes=rows.passes.fill_null(0.0))
    cost = rows.cost_usd.cast("float64")
    sums = {"n": rows.count(), "cost_usd": rows.cost_usd.sum(), "cost_2": (cost * cost).sum()}
    for unit in ("ok", "votes", "passes"):
        sums |= {
            unit: rows[unit].sum().cast("float64"),
            f"{unit}_2": (rows[unit] * rows[unit]).sum().cast("float64"),
            f"{unit}_cost": (rows[unit] * cost).sum(),
        }
    return rows.group_by(list(CELL)).agg(**sums)


def _sessions(t: Tables) -> ir.Table:
    rows = _traces(t)
    rows = rows.filter(rows.session_id != "")
    return rows.group_by([*CELL, "session_id"]).agg(cost_usd=rows.cost_usd.sum())


def _traces(t: Tables) -> ir.Table:
    cost = t["costs"].select(*_KEY, "cost_usd")
    o = t["observations"].left_join(cost, _KEY)
    return whole_traces(
        t,
        o,
        session_id=lambda rows: rows.session_id.max(),
        cost_usd=lambda rows: rows.cost_usd.sum().fill_null(Decimal(0)),
        ok=lambda rows: (rows.is_model_call & (rows.level != ERROR)).sum(),
    )


def scopes(rows: pd.DataFrame) -> Iterator[tuple[str | None, pd.DataFrame]]:
    """The rows of each kind of scope: `total` (None), each dimension, evaluation overhead."""
    product = rows[~rows["is_evaluation"]]
    yield None, product
    for name in DIMENSIONS:
        if name == "is_evaluation":
            yield name, rows[rows["is_evaluation"]]
        else:
            yield name, product[product[name] != ""]


def _of_traces(cells: pd.DataFrame, unit: str, column: str) -> Iterator[pd.DataFrame]:
    used = ["n", "cost_usd", "cost_2", column, f"{column}_2", f"{column}_cost"]
    for name, rows in scopes(cells):
        if rows.empty:
            continue
        sums = rows.groupby(_scope(rows, name))[used].sum().reset_index()
        sums = sums[sums[column] > 0]
        yield _result(
            sums,
            unit,
            sums[column].to_numpy(float),
            sums["n"],
            sums["cost_2"],
            sums[f"{column}_2"],
            sums[f"{column}_cost"],
        )


def _of_sessions(sessions: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for name, rows in scopes(sessions):
        if rows.empty:
            continue
        each = rows.groupby([*_scope(rows, name), "session_id"])["cost_usd"].sum().reset_index()
        cost = each["cost_usd"].astype(float)
        each = each.assign(n=1, cost_2=cost**2, cost=cost)
        sums = (
            each.groupby(["day", "scope"])[["n", "cost_usd", "cost_2", "cost"]].sum().reset_index()
        )
        n = sums["n"].to_numpy(float)
        yield _result(sums, "session", n, n, sums["cost_2"], n, sums["cost"])


def _scope(rows: pd.DataFrame, dimension: str | None) -> list[pd.Series]:
    if dimension is None:
        text = pd.Series("total", index=rows.index)
    elif dimension == "is_evaluation":
        text = pd.Series("is_evaluation=true", index=rows.index)
    elif dimension == "prompt_version":
        text = "prompt_version=" + rows["prompt_name"] + "@" + rows["prompt_version"]
    else:
        text = dimension + "=" + rows[dimension].astype(str)
    return [rows["day"], text.rename("scope")]


def _result(
    sums: pd.DataFrame,
    unit: str,
    units: np.ndarray,
    n: pd.Series | np.ndarray,
    cost_2: pd.Series,
    units_2: pd.Series | np.ndarray,
    product: pd.Series,
) -> pd.DataFrame:
    cost = sums["cost_usd"].astype(float).to_numpy()
    low, high = intervals.ratio(cost, units, n, cost_2, units_2, product)
    return pd.DataFrame(
        {
            "day": sums["day"].to_numpy(),
            "scope": sums["scope"].str.slice(0, 255).to_numpy(),
            "unit": unit,
            "n": units,
            "cost_usd": sums["cost_usd"].to_numpy(),
            "usd_per_unit": cost / units,
            "low": low,
            "high": high,
        }
    )


def _marks(
    lake: Lake,
    database: Database,
    project: str,
    days: Sequence[date],
    settings: FeedbackSettings,
) -> pa.Table:
    votes_of = _positive(lake, database, project, days, settings)
    passes = _passed(database, project, days)
    both = votes_of.merge(passes, on=["day", "trace_id"], how="outer").fillna(
        {"votes": 0.0, "passes": 0.0}
    )
    return pa.Table.from_pandas(both, schema=_MARKS, preserve_index=False)


def _positive(
    lake: Lake,
    database: Database,
    project: str,
    days: Sequence[date],
    settings: FeedbackSettings,
) -> pd.DataFrame:
    """Traces with a positive vote of a user, from every day on which votes on these days are known
    to have been given (feedback_given holds them)."""
    given = TABLES["feedback_given"]
    query = sa.select(given.c.day, given.c.given_day).distinct()
    query = query.where(given.c.project_id == project, given.c.day.in_(days))
    pairs = database.read(query)
    when = sorted(set(pairs["given_day"]))
    scores = lake.read_days("scores", project, when).to_pandas()
    up = scores[(scores["source"] == "API") & (votes.polarity(scores, settings) == 1)]
    rated = up[["day", "trace_id"]].rename(columns={"day": "given_day"})
    # The rated day is not in a score: each pair of days is tried, and the join with the day's
    # traces keeps the right one.
    rows = pairs.merge(rated, on="given_day")[["day", "trace_id"]].drop_duplicates()
    return rows.assign(votes=1.0)


def _passed(database: Database, project: str, days: Sequence[date]) -> pd.DataFrame:
    """Answers that passed all scorers that looked at them, each standing for 1 / probability."""
    score = TABLES["score"]
    key = [score.c.day, score.c.trace_id, score.c.observation_id]
    query = (
        sa.select(
            *key,
            sa.func.min(score.c.inclusion_probability).label("probability"),
        )
        .where(
            score.c.project_id == project,
            score.c.day.in_(days),
            score.c.status == "ok",
            score.c.passed.is_not(None),
        )
        .group_by(*key)
        .having(sa.func.min(sa.case((score.c.passed, 1), else_=0)) == 1)
    )
    rows = database.read(query)
    weight = 1 / rows["probability"].astype(float).fillna(1.0)
    rows = rows.assign(passes=weight)
    return rows.groupby(["day", "trace_id"], as_index=False)["passes"].sum()
