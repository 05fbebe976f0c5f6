"""How well liked: votes of users and reviewers, on the day and dimensions of what they rated.

A vote may come days after the answer. What is stored first is therefore `feedback_given`: the
votes that were given on one day, by the day of the trace that they rate. Day D's run replaces the
rows given on D, from the scores of D and traces up to D, so it reads nothing later than D; then
the rated days are added up anew into `feedback_daily` from all rows of `feedback_given`. Re-runs
and backfills in any order end the same, and a past state is the sum over `given_day` <= that day.

No vote is never a no: rates have votes below them, and traces only the response rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from llmops_jobs.signals import bias, intervals, sessions, votes
from llmops_jobs.signals.cells import CELL, model_calls, traces
from llmops_jobs.signals.settings import FeedbackSettings
from llmops_jobs.signals.shrinkage import shrink
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables
    from llmops_jobs.store import Database

_SCORE: Final = ["score_name", "source"]
_RATED: Final = pa.schema([("trace_id", pa.string())])


@dataclass(frozen=True)
class Given:
    """What was given on some days: rows of feedback_given (with `day` and `given_day`), rows of
    feedback_label_daily, the rated traces' rows of feedback_moment and those of all traces of the
    days, and the number of scores whose trace is unknown."""

    votes: pd.DataFrame
    rated: pd.DataFrame
    every: pd.DataFrame
    labels: pd.DataFrame
    unmatched: dict[date, int]


def measure(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], settings: FeedbackSettings
) -> Given:
    """The votes given on `days`, joined to traces of up to `lookback_days` before them."""
    first = min(days) - timedelta(days=settings.lookback_days)
    reach = [first + timedelta(days=n) for n in range((max(days) - first).days + 1)]
    told = lake.read_days("scores", project, days).to_pandas()
    scores = _votes(sessions.on_traces(engine, lake, project, reach, told), settings)
    rated = _rated(engine, lake, project, reach, scores)
    joined = scores.merge(rated, on=["trace_id", "rated_call"], how="left")
    age = (pd.to_datetime(joined["given_day"]) - pd.to_datetime(joined["day"])).dt.days
    known = age.between(0, settings.lookback_days)
    lost = joined[~known].groupby("given_day").size()
    joined = joined[known]
    return Given(
        votes=_given(joined),
        rated=bias.of_rated(engine, lake, project, reach, _users(joined)),
        every=bias.of_all(engine, lake, project, days),
        labels=_labels(joined),
        unmatched={day: int(lost.get(day, 0)) for day in days},
    )


def daily(
    database: Database, project: str, days: Sequence[date], settings: FeedbackSettings
) -> pd.DataFrame:
    """Rows of feedback_daily of rated days, from all of feedback_given and trace_daily."""
    given, traces = (
        database.table(name, project, min(days), max(days))
        for name in ("feedback_given", "trace_daily")
    )
    given = given[given["day"].isin(days)]
    rows = given.groupby([*CELL, *_SCORE], as_index=False)[
        ["n", "positive", "negative", "neutral", "valued", "total", "traces"]
    ].sum()
    rows = rows.rename(columns={"traces": "rated_traces"}).merge(
        traces[[*CELL, "traces"]], on=list(CELL), how="left"
    )
    rows["traces"] = rows["traces"].fillna(0).astype(int)
    cast = rows["positive"] + rows["negative"] + rows["neutral"]
    rows["n"] = np.where(cast > 0, cast, rows["n"])
    with np.errstate(divide="ignore", invalid="ignore"):
        rows["rate"] = np.where(cast > 0, rows["positive"] / cast, np.nan)
        rows["mean_value"] = np.where(rows["valued"] > 0, rows["total"] / rows["valued"], np.nan)
        # Votes on one trace on two days count it twice.
        rows["rated_traces"] = np.minimum(rows["rated_traces"], rows["traces"])
        rows["response_rate"] = np.where(
            rows["traces"] > 0, rows["rated_traces"] / rows["traces"], np.nan
        )
    rows["rate_low"], rows["rate_high"] = intervals.wilson(rows["positive"], cast)
    shrunk = np.full(len(rows), np.nan)
    positive, votes_cast = rows["positive"].to_numpy(), cast.to_numpy()
    for places in rows[cast > 0].groupby(["day", *_SCORE]).indices.values():
        at = np.flatnonzero(votes_cast > 0)[places]
        shrunk[at] = shrink(positive[at], votes_cast[at], settings.prior_traces)
    return rows.assign(shrunk_rate=shrunk).drop(columns=["neutral", "valued", "total"])


def rated_days(database: Database, project: str, given: Sequence[date]) -> list[date]:
    """The days whose traces were rated on one of the given days, as the table now stands."""
    table = TABLES["feedback_given"]
    query = sa.select(table.c.day).distinct()
    query = query.where(table.c.project_id == project, table.c.given_day.in_(given))
    return sorted(database.read(query)["day"])


def _votes(scores: pd.DataFrame, settings: FeedbackSettings) -> pd.DataFrame:
    """Scores of people on traces, calls and sessions, with their polarity."""
    people = scores["source"] != "EVAL"
    on_trace = scores["subject_kind"].isin(["trace", "observation"]) & (scores["trace_id"] != "")
    on_trace |= scores["subject_kind"] == "session"
    scores = scores[people & on_trace & (scores["data_type"] != "CORRECTION")]
    return pd.DataFrame(
        {
            "given_day": scores["day"],
            "trace_id": scores["trace_id"],
            "rated_call": scores["observation_id"].where(
                scores["subject_kind"] == "observation", ""
            ),
            "score_name": scores["name"],
            "source": scores["source"],
            "data_type": scores["data_type"],
            "label": scores["string_value"],
            "value": scores["value"].where(scores["data_type"] == "NUMERIC"),
            "vote": votes.polarity(scores, settings),
        }
    ).reset_index(drop=True)


def _rated(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], scores: pd.DataFrame
) -> pd.DataFrame:
    """Day and dimensions of everything that the scores rate: of its trace, or of the call itself
    where a call was rated."""
    wanted = pa.Table.from_pydict({"trace_id": scores["trace_id"].unique()}, schema=_RATED)
    columns = ["trace_id", "rated_call", *CELL]
    if not len(wanted):
        return pd.DataFrame(columns=columns)
    found = engine.run(_rated_traces, lake, project, days, {"rated": wanted}).to_pandas()
    # A trace over midnight: the day of its root, or its first.
    found = found.sort_values(["has_root", "day"], ascending=[False, True])
    found = found.drop_duplicates("trace_id").assign(rated_call="")
    calls = scores.loc[scores["rated_call"] != "", ["trace_id", "rated_call"]].drop_duplicates()
    own = engine.run(_rated_calls, lake, project, days, {"rated": wanted}).to_pandas()
    own = calls.merge(own, on=["trace_id", "rated_call"]).drop_duplicates(
        ["trace_id", "rated_call"]
    )
    other = calls.merge(own[["trace_id", "rated_call"]], how="left", indicator=True)
    other = other.loc[other["_merge"] == "left_only", ["trace_id", "rated_call"]]
    other = other.merge(found.drop(columns="rated_call"), on="trace_id")
    return pd.concat([part[columns] for part in (found, own, other)], ignore_index=True)


def _rated_traces(t: Tables) -> ir.Table:
    o = t["observations"]
    rows, cells = traces(o.filter(o.trace_id.isin(t["rated"].trace_id)))
    return rows.drop("day").inner_join(cells, "cell").select("trace_id", "has_root", *CELL)


def _rated_calls(t: Tables) -> ir.Table:
    calls = model_calls(t).semi_join(t["rated"], "trace_id")
    return calls.select("trace_id", *CELL, rated_call=calls.observation_id)


def _given(joined: pd.DataFrame) -> pd.DataFrame:
    vote = joined["vote"]
    rows = joined.assign(
        n=1,
        positive=(vote == 1).astype(int),
        negative=(vote == -1).astype(int),
        neutral=(vote == 0).astype(int),
        valued=joined["value"].notna().astype(int),
        total=joined["value"].fillna(0.0),
    )
    keys = ["given_day", *CELL, *_SCORE]
    sums = rows.groupby(keys, as_index=False)[
        ["n", "positive", "negative", "neutral", "valued", "total"]
    ].sum()
    distinct = rows.groupby(keys, as_index=False)["trace_id"].nunique()
    return sums.merge(distinct.rename(columns={"trace_id": "traces"}), on=keys)


def _users(joined: pd.DataFrame) -> pd.DataFrame:
    """The traces that users rated, by the day on which they did."""
    mine = joined.loc[joined["source"] == "API", ["day", "given_day", "trace_id"]]
    return mine.drop_duplicates()


def _labels(joined: pd.DataFrame) -> pd.DataFrame:
    """Categories by the day they were given: a label is for reading, its cell is not needed."""
    rows = joined[joined["data_type"] == "CATEGORICAL"]
    rows = rows.assign(label=rows["label"].str.slice(0, 100), day=rows["given_day"])
    return (
        rows.groupby(["day", *_SCORE, "feature", "label"], as_index=False)
        .size()
        .rename(columns={"size": "n"})
    )
