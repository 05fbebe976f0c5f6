"""The calls that people labelled on a day, with what the estimate needs to know of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.evals.labels import READ, human_labels
from llmops_jobs.evals.predictors import predictions
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

#: Labels of calls older than this many days are not used: their text is gone from most lakes.
LABEL_LOOKBACK = 30
KEYS = ["trace_id", "observation_id"]


def labelled(
    lake: Lake,
    database: Database,
    project: str,
    day: date,
    settings: EvalSettings,
) -> pd.DataFrame:
    """One row per label given on `day`: dimensions of the labelled call, w, y and f. The part is
    `labelled`, or `unpredicted` where no judge or model saw the call.

    Calls that `llmops label` picked carry 1 / (probability of the pick); those that people chose
    themselves are taken for a simple random sample of the day's calls, since nothing else is known
    of them. The weights of both kinds together add up to the day's calls.
    """
    labels = human_labels(lake.read_day("scores", project, day, READ), settings.human_labels)
    if labels.empty:
        return pd.DataFrame(
            columns=[*KEYS, "metric", "part", "w", "y", "f", "predictor", *DIMENSIONS]
        )
    traces = labels["trace_id"].unique().tolist()
    scores = _scores(database, project, day, traces)
    elsewhere = sorted(set(scores["day"]) - {day})
    about = _about(lake, project, [day, *elsewhere], traces)
    rows = labels.assign(y=labels["passed"].astype(float)).drop(columns=["passed", "timestamp"])
    rows = _with_observation(rows, about)
    predicted = predictions(scores, settings)
    rows = rows.merge(
        predicted[[*KEYS, "metric", "f", "predictor"]], on=[*KEYS, "metric"], how="left"
    )
    picks = _picks(database, project, traces)
    rows = rows.merge(picks, on=[*KEYS, "metric"], how="left")
    rows["w"] = _weights(rows, float(max(_answered(lake, project, day), 1)))
    rows["part"] = rows["f"].notna().map({True: "labelled", False: "unpredicted"})
    return rows.drop(columns="inclusion_probability").fillna({"f": 0.0, "predictor": ""})


def _about(lake: Lake, project: str, days: Sequence[date], traces: list[str]) -> pd.DataFrame:
    """Dimensions and start of the model calls of some traces on some days, one after the other."""
    columns = [*KEYS, *DIMENSIONS, "is_model_call", "start_time"]
    wanted = pc.field("is_model_call") & pc.field("trace_id").isin(traces)
    parts = [lake.read_day("observations", project, d, columns).filter(wanted) for d in days]
    about = pa.concat_tables(parts).drop_columns(["is_model_call"]).to_pandas()
    about["prompt_version"] = about["prompt_version"].astype("Int64").astype("string").fillna("")
    return about


def _answered(lake: Lake, project: str, day: date) -> int:
    """The model calls of a day that a label may be of: no failure, no evaluation."""
    columns = ["is_model_call", "is_evaluation", "level"]
    calls = lake.read_day("observations", project, day, columns)
    mine = pc.field("is_model_call") & ~pc.field("is_evaluation") & (pc.field("level") != "ERROR")
    return int(calls.filter(mine).num_rows)


def _with_observation(labels: pd.DataFrame, about: pd.DataFrame) -> pd.DataFrame:
    """A label on a whole trace is one on its last model call: that is what the user got."""
    last = about.sort_values("start_time").drop_duplicates("trace_id", keep="last")
    last = last.set_index("trace_id")["observation_id"]
    whole = labels["observation_id"] == ""
    named = labels["observation_id"].where(~whole, labels["trace_id"].map(last).fillna(""))
    return labels.assign(observation_id=named).merge(about, on=KEYS, how="inner")


def _weights(rows: pd.DataFrame, population: float) -> pd.Series:
    weights = 1 / rows["inclusion_probability"].astype(float)
    for _, group in rows.groupby("metric"):
        own = group["inclusion_probability"].isna()
        # Two independent samples of one population, combined in proportion to their sizes.
        share = own.mean()
        weights[group.index[own]] = population * share / max(1, own.sum())
        weights[group.index[~own]] *= 1 - share
    return weights


def _scores(database: Database, project: str, day: date, traces: list[str]) -> pd.DataFrame:
    # By day and trace, so that the primary key's index finds the rows.
    days = [day - timedelta(days=back) for back in range(LABEL_LOOKBACK)]
    score = TABLES["score"].c
    query = sa.select(
        score.day, score.trace_id, score.observation_id, score.scorer, score.value, score.passed
    ).where(
        score.project_id == project,
        score.day.in_(days),
        score.trace_id.in_(traces),
        score.status == "ok",
        score.passed.is_not(None),
    )
    scores = database.read(query)
    return scores.assign(y=scores["passed"].astype(bool).astype(float))


def _picks(database: Database, project: str, traces: list[str]) -> pd.DataFrame:
    pick = TABLES["label_pick"].c
    return database.read(
        sa.select(
            pick.trace_id, pick.observation_id, pick.metric, pick.inclusion_probability
        ).where(pick.project_id == project, pick.trace_id.in_(traces), pick.reason == "estimate")
    )
