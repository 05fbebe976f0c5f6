"""Which calls people should label next, with the probability of each pick on record."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import calls_of_day
from llmops_jobs.evals.judge.choose import chance_to_pass
from llmops_jobs.evals.labels import READ, human_labels
from llmops_jobs.evals.sampling import hashes, judge_weights, probabilities, systematic
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.langfuse.annotation import enqueue, queued_objects
from llmops_jobs.langfuse.client import Client
from llmops_jobs.store import Database


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
    calls = [call for call in calls_of_day(lake, project, day) if call.answer]
    labels = human_labels(lake.read_day("scores", project, day, READ), settings.human_labels)
    known = set(labels.loc[labels["metric"] == metric, "trace_id"])
    picked = database.table("label_pick", project, day, day, metric=metric)
    known |= set(picked["trace_id"])
    calls = [call for call in calls if call.trace_id not in known]
    if not calls or n <= 0:
        return pd.DataFrame()
    batch = Batch(calls)
    rows = database.read(
        "SELECT trace_id, observation_id, scorer, value, passed FROM score "
        "WHERE project_id = :project AND day = :day AND status = 'ok'",
        project=project,
        day=day.isoformat(),
    )
    chance = chance_to_pass(batch, rows.assign(passed=rows["passed"].astype("boolean")))
    text = np.array([call.inclusion_probability for call in calls])
    probability = probabilities(judge_weights(chance, text), n)
    keys = [f"{call.trace_id}\x1f{call.observation_id}" for call in calls]
    features = pd.Series([call.feature for call in calls])
    seed = settings.seed + day.toordinal()
    mask = systematic(probability, features, hashes(keys, seed), float(hashes(["pick"], seed)[0]))
    chosen = np.flatnonzero(mask)
    chosen = chosen[np.argsort(np.abs(chance[chosen] - 0.5), kind="stable")]
    return pd.DataFrame(
        {
            "project_id": project,
            "day": day,
            "trace_id": [calls[i].trace_id for i in chosen],
            "observation_id": [calls[i].observation_id for i in chosen],
            "metric": metric,
            "inclusion_probability": (probability * text)[chosen],
            "reason": "estimate",
            "chance_to_pass": chance[chosen],
        }
    )


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
