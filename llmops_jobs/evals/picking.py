"""Which calls people should label next, with the probability of each pick on record."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import sqlalchemy as sa

from llmops_jobs.evals.judge.choose import KEYS, chance_to_pass, failures, strata
from llmops_jobs.evals.labels import READ, human_labels
from llmops_jobs.evals.predictors import QUALITY_MODEL
from llmops_jobs.evals.reading import population
from llmops_jobs.evals.sampling import hashes, judge_weights, probabilities, systematic, votes
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.langfuse.annotation import enqueue, queued_objects
from llmops_jobs.langfuse.client import Client
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES


def choose_picks(
    lake: Lake,
    database: Database,
    project: str,
    day: date,
    metric: str,
    n: int,
    settings: EvalSettings,
) -> pd.DataFrame:
    """The calls of a day that people should label: columns of `label_pick`, most doubtful first.

    Drawn with probabilities that grow where the scorers doubt and where failures are likely, so
    that a label tells much, and every call keeps a chance, so that the labels estimate the whole.
    Calls that are labelled or were picked already are left out.
    """
    calls = population(lake, project, day)
    rows = _scores(database, project, day)
    said = lake.read_day("scores", project, day, READ)
    labels = human_labels(said, settings.human_labels)
    known = set(labels.loc[labels["metric"] == metric, "trace_id"])
    picked = database.table("label_pick", project, day, day, metric=metric)
    known |= set(picked["trace_id"])
    calls = calls[~calls["trace_id"].isin(known) & _answered(calls, rows)].reset_index(drop=True)
    if calls.empty or n <= 0:
        return pd.DataFrame()
    chance, failed = chance_to_pass(calls, rows), failures(calls, rows)
    text = calls["inclusion_probability"].to_numpy(dtype=float)
    probability = probabilities(judge_weights(chance, text), n)
    seed = settings.seed + day.toordinal()
    order = hashes(calls["trace_id"] + "\x1f" + calls["observation_id"], seed)
    drawn_by = strata(calls, votes(said), chance, failed)
    mask = systematic(probability, drawn_by, order, float(hashes(["pick"], seed)[0]))
    chosen = np.flatnonzero(mask)
    chosen = chosen[np.argsort(np.abs(chance[chosen] - 0.5), kind="stable")]
    return calls.loc[chosen, KEYS].assign(
        project_id=project,
        day=day,
        metric=metric,
        inclusion_probability=(probability * text)[chosen],
        reason="estimate",
        chance_to_pass=chance[chosen],
    )


def _scores(database: Database, project: str, day: date) -> pd.DataFrame:
    """A day's rows of `score` that the choice depends on."""
    score = TABLES["score"].c
    names = [*KEYS, "scorer", "value", "passed"]
    rows = database.read(
        sa.select(*(score[name] for name in names)).where(
            score.project_id == project,
            score.day == day,
            score.status == "ok",
            sa.or_(score.passed.is_(False), score.scorer.startswith(QUALITY_MODEL)),
        )
    )
    return rows.assign(passed=rows["passed"].astype("boolean"))


def _answered(calls: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """What has no answer needs no person to say so."""
    empty = rows[(rows["scorer"] == "empty") & ~rows["passed"].fillna(True)]
    nothing = pd.MultiIndex.from_frame(empty[KEYS])
    return pd.Series(~pd.MultiIndex.from_frame(calls[KEYS]).isin(nothing), index=calls.index)


def put_before_people(
    client: Client, database: Database, picks: pd.DataFrame, queue_id: str
) -> int:
    """Writes picks into an annotation queue, each recorded as soon as it is there; returns how
    many were new to the queue."""
    there = queued_objects(client, queue_id) if len(picks) else set()
    written = 0
    for pick in picks.drop(columns="chance_to_pass").to_dict("records"):
        item = ""
        if pick["observation_id"] not in there:
            item = enqueue(client, queue_id, pick["observation_id"])
            written += 1
        row = pick | {"queue_id": queue_id, "item_id": item, "picked_at": datetime.now(UTC)}
        frame = pd.DataFrame({str(k): pd.Series([v], dtype=object) for k, v in row.items()})
        database.upsert("label_pick", frame)
    return written
