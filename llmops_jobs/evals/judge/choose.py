"""Which calls of a night the judge sees, with the probability of each."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
import pandas as pd

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.predictors import QUALITY_MODEL
from llmops_jobs.evals.sampling import hashes, judge_weights, probabilities, systematic

#: What a call's chance to pass is taken for, without a quality model, per cheap scorer it fails.
_PER_FAILURE = 0.5
_PRIOR = 0.9


def choose_calls(
    batch: Batch, rows: pd.DataFrame, labelled: AbstractSet[str], n: int, seed: int
) -> pd.Series:
    """Index into `batch.calls` -> probability of the pick, for the calls picked, in random order.

    `rows` are the batch's cheap scores. Calls of `labelled` traces are always in: without the
    judge's word on what people judged nothing can be calibrated.
    """
    calls = batch.calls
    if n <= 0 or not calls:
        return pd.Series(dtype=float)
    always = np.array([call.trace_id in labelled for call in calls])
    probability = np.ones(len(calls))
    rest = np.flatnonzero(~always)
    text = np.array([call.inclusion_probability for call in calls])
    chance = chance_to_pass(batch, rows)
    if len(rest):
        weights = judge_weights(chance[rest], text[rest])
        probability[rest] = probabilities(weights, max(n - int(always.sum()), n // 4))
    keys = [f"{call.trace_id}\x1f{call.observation_id}" for call in calls]
    order = hashes(keys, seed)
    strata = [f"{call.feature}\x1f{p < 0.5}" for call, p in zip(calls, chance, strict=True)]
    picked = np.flatnonzero(
        systematic(probability, strata, order, float(hashes(["judge"], seed)[0]))
    )
    # People's calls first, then by hash: a budget that ends early leaves a random part out.
    picked = picked[np.lexsort((order[picked], ~always[picked]))]
    return pd.Series(probability[picked], index=picked)


def chance_to_pass(batch: Batch, rows: pd.DataFrame) -> np.ndarray:
    """Each call's chance to pass: by the quality model, or by how many cheap scorers it fails."""
    keys = [(call.trace_id, call.observation_id) for call in batch.calls]
    if rows.empty:
        return np.full(len(keys), _PRIOR)
    model = rows[rows["scorer"].str.startswith(QUALITY_MODEL) & rows["value"].notna()]
    if len(model):
        values = model.set_index(["trace_id", "observation_id"])["value"].astype(float)
        found = values[~values.index.duplicated()].reindex(keys).fillna(_PRIOR)
        return found.to_numpy(dtype=float)
    failed = rows[rows["passed"].eq(False).fillna(False).astype(bool)]
    counts = failed.groupby(["trace_id", "observation_id"]).size().reindex(keys).fillna(0)
    chance: np.ndarray = _PRIOR * _PER_FAILURE ** counts.to_numpy(dtype=float)
    return chance
