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
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from llmops_jobs.lake.engine import exact_sum
from llmops_jobs.signals import intervals, votes
from llmops_jobs.signals.cells import CELL, stacked, tails, unstacked, whole_traces
from llmops_jobs.signals.scopes import scopes_of
from llmops_jobs.signals.settings import FeedbackSettings
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables
    from llmops_jobs.store import Database

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_COUNTED: Final = {
    "successful_request": "ok",
    "positive_feedback": "votes",
    "passed_evaluation": "passes",
}
_SUMS: Final = (
    "n", "cost_usd", "cost_2", "ok", "ok_2", "ok_cost", "votes", "votes_2", "votes_cost",
    "passes", "passes_2", "passes_cost",
)  # fmt: skip
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
    found = engine.run(_sums, lake, project, days, extra)
    cells = unstacked(found, "cells", "cell", *CELL, *_SUMS).to_pandas()
    sessions = unstacked(found, "sessions", "cell", "session_id", "cost_usd")
    rows = [
        *_of_traces(cells),
        *_of_sessions(
            cells,
            pd.Index(cells["cell"]).get_indexer(sessions["cell"].to_numpy()),
            pc.dictionary_encode(sessions["session_id"]).combine_chunks().indices.to_numpy(),
            # In doubles: a session's cost is only summed and squared.
            sessions["cost_usd"].cast(pa.float64()).to_numpy(),
        ),
    ]
    return pd.concat(rows, ignore_index=True)


def _sums(t: Tables) -> ir.Table:
    """`cells`: sums over the traces of each cell, of cost, of each unit, of squares and products;
    `sessions`: the cost of each session in each cell, by the cell's number."""
    keyed, cells = _traces(t)
    cost = keyed.cost_usd.cast("float64")
    sums = {"n": keyed.count(), "cost_usd": keyed.cost_usd.sum(), "cost_2": exact_sum(cost * cost)}
    for unit in ("ok", "votes", "passes"):
        sums |= {
            unit: keyed[unit].sum().cast("float64"),
            f"{unit}_2": (keyed[unit] * keyed[unit]).sum().cast("float64"),
            f"{unit}_cost": exact_sum(keyed[unit] * cost),
        }
    in_session = keyed.filter(keyed.session_id != "")
    return stacked(
        cells=keyed.group_by("cell").agg(**sums).inner_join(cells, "cell"),
        sessions=in_session.group_by(["cell", "session_id"]).agg(
            cost_usd=in_session.cost_usd.sum()
        ),
    )


def _traces(t: Tables) -> tuple[ir.Table, ir.Table]:
    """Traces with their cost and units, by the number of their cell; and the cells."""
    costs, marks = t["costs"], t["marks"]
    cost = costs.group_by(day_=costs.day, trace_=costs.trace_id).agg(cost_usd=costs.cost_usd.sum())
    rows, cells = whole_traces(t)
    rows = rows.left_join(cost, [rows.day == cost.day_, rows.trace_id == cost.trace_])
    rows = rows.left_join(marks, ["day", "trace_id"])
    return rows.select(
        "cell",
        "session_id",
        "ok",
        cost_usd=rows.cost_usd.fill_null(Decimal(0)),
        votes=rows.votes.fill_null(0.0),
        passes=rows.passes.fill_null(0.0),
    ), cells


def _of_traces(cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    sums = cells[["day", *_SUMS]]
    parts = [
        sums.iloc[places].assign(scope=np.array(names, object)[scope])
        for places, scope, names in scopes_of(cells)
    ]
    every = pd.concat(parts).groupby(["day", "scope"], as_index=False)[list(_SUMS)].sum()
    for unit, column in _COUNTED.items():
        sums = every[every[column] > 0]
        units = sums[column].to_numpy(float)
        yield _result(sums, unit, units, sums[f"{column}_2"], sums[f"{column}_cost"])


def _of_sessions(
    cells: pd.DataFrame, cell: Ints, session: Ints, cost: Floats
) -> Iterator[pd.DataFrame]:
    """Sessions are counted once a scope, whatever the number of its cells they are in. `cell` is
    the place among `cells` of each session's `cost` in it."""
    day, days = pd.factorize(cells["day"].to_numpy(object))
    order = np.argsort(session)
    cell, session, cost = cell[order], session[order], cost[order]
    for places, scope, names in scopes_of(cells):
        number = np.full(len(cells), -1)
        number[places] = scope * len(days) + day[places]
        mine = np.flatnonzero(number[cell] >= 0)
        if not len(mine):
            continue
        code = number[cell[mine]]
        # In their smallest type: whole numbers of 16 bits are sorted without comparing them.
        order = np.argsort(code.astype(np.min_scalar_type(code.max())), kind="stable")
        mine, code = mine[order], code[order]
        begins = (np.diff(code, prepend=-1) != 0) | (np.diff(session[mine], prepend=-1) != 0)
        first = np.flatnonzero(begins)
        of_session = np.add.reduceat(cost[mine], first)
        told, start = np.unique(code[first], return_index=True)
        n = np.diff(start, append=len(first)).astype(float)
        sums = pd.DataFrame(
            {
                "day": days[told % len(days)],
                "scope": np.array(names, object)[told // len(days)],
                "n": n,
                "cost_usd": np.add.reduceat(of_session, start),
                "cost_2": np.add.reduceat(of_session**2, start),
            }
        )
        yield _result(sums, "session", n, n, sums["cost_usd"])


def _result(
    sums: pd.DataFrame,
    unit: str,
    units: np.ndarray,
    units_2: pd.Series | np.ndarray,
    product: pd.Series,
) -> pd.DataFrame:
    # Nine and twelve places: beyond them lies the order in which threads add.
    units = np.round(np.asarray(units, dtype=float), 9)
    cost = np.round(sums["cost_usd"].astype(float).to_numpy(), 9)
    low, high = intervals.ratio(cost, units, sums["n"], sums["cost_2"], units_2, product)
    return pd.DataFrame(
        {
            "day": sums["day"].to_numpy(),
            "scope": sums["scope"].to_numpy(),
            "unit": unit,
            "n": units,
            "cost_usd": sums["cost_usd"].to_numpy(),
            "usd_per_unit": np.round(cost / units, 12),
            "low": np.round(low, 12),
            "high": np.round(high, 12),
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
