"""The calls that people labelled on a day, with what the estimate needs to know of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd
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
    today: pd.DataFrame,
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
    scores = _scores(database, project, day, labels["trace_id"].unique().tolist())
    elsewhere = set(scores["day"]) - {day}
    about = pd.concat([today, dimensions_of(lake, project, sorted(elsewhere))], ignore_index=True)
    rows = labels.assign(y=labels["passed"].astype(float)).drop(columns=["passed", "timestamp"])
    rows = _with_observation(rows, about)
    predicted = predictions(scores, settings)
    rows = rows.merge(
        predicted[[*KEYS, "metric", "f", "predictor"]], on=[*KEYS, "metric"], how="left"
    )
    picks = _picks(database, project, labels["trace_id"].unique().tolist())
    rows = rows.merge(picks, on=[*KEYS, "metric"], how="left")
    answered = ~today["is_evaluation"].astype(bool) & (today["level"] != "ERROR")
    rows["w"] = _weights(rows, float(max(answered.sum(), 1)))
    rows["part"] = rows["f"].notna().map({True: "labelled", False: "unpredicted"})
    return rows.drop(columns="inclusion_probability").fillna({"f": 0.0, "predictor": ""})


def dimensions_of(lake: Lake, project: str, days: Sequence[date]) -> pd.DataFrame:
    """Dimensions, level and start of the model calls of some days."""
    columns = [*KEYS, *DIMENSIONS, "is_model_call", "level", "start_time"]
    about = lake.read_days("observations", project, days, columns).to_pandas()
    about = about[about["is_model_call"].astype(bool)].drop(columns="is_model_call")
    about["prompt_version"] = about["prompt_version"].astype("Int64").astype("string").fillna("")
    return about


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
