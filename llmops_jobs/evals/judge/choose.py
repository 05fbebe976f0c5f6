"""Which calls of a night the judge sees, with the probability of each."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np
import pandas as pd

from llmops_jobs.evals.predictors import QUALITY_MODEL
from llmops_jobs.evals.sampling import hashes, judge_weights, probabilities, systematic

#: What a call's chance to pass is taken for, without a quality model, per cheap scorer it fails.
_PER_FAILURE = 0.5
_PRIOR = 0.9
#: Of a chance to pass: what is below the first is likely to fail, up to the second in doubt.
DOUBT = (0.25, 0.75)
KEYS = ["trace_id", "observation_id"]


def choose_calls(
    calls: pd.DataFrame,
    rows: pd.DataFrame,
    labelled: AbstractSet[str],
    votes: Mapping[str, bool],
    n: int,
    seed: int,
) -> pd.Series:
    """Index into `calls` -> probability of the pick, for the calls picked, in random order.

    `calls` as `reading.population` gives them, `rows` their cheap scores, `labelled` the traces
    that people labelled, `votes` whether users voted a trace up. Labelled calls are always in:
    without the judge's word on what people judged nothing can be calibrated. So are those voted
    down, as long as they take no more than half of `n`.
    """
    if n <= 0 or calls.empty:
        return pd.Series(dtype=float)
    trace = calls["trace_id"]
    always = trace.isin(labelled).to_numpy()
    down = always | trace.isin([key for key, up in votes.items() if not up]).to_numpy()
    if down.sum() <= n / 2:
        always = down
    probability = np.ones(len(calls))
    rest = np.flatnonzero(~always)
    chance, failed = chance_to_pass(calls, rows), failures(calls, rows)
    if len(rest):
        text = calls["inclusion_probability"].to_numpy(dtype=float)
        weights = judge_weights(chance[rest], text[rest])
        probability[rest] = probabilities(weights, max(n - int(always.sum()), n // 4))
    order = hashes(trace + "\x1f" + calls["observation_id"], seed)
    drawn_by = strata(calls, votes, chance, failed)
    picked = np.flatnonzero(
        systematic(probability, drawn_by, order, float(hashes(["judge"], seed)[0]))
    )
    # Those always in first, then by hash: a budget that ends early leaves a random part out.
    picked = picked[np.lexsort((order[picked], ~always[picked]))]
    return pd.Series(probability[picked], index=picked)


def strata(
    calls: pd.DataFrame, votes: Mapping[str, bool], chance: np.ndarray, failed: np.ndarray
) -> list[str]:
    """Prompt version, feature, feedback, whether a cheap scorer failed it, and how sure that is:
    each kind of call gets its share of the draw to within one call."""
    feedback = calls["trace_id"].map(votes).map({True: "up", False: "down"}).fillna("")
    doubt = np.digitize(chance, DOUBT)
    named = zip(
        calls["prompt_name"], calls["prompt_version"], calls["feature"], feedback, strict=True
    )
    return [
        "\x1f".join((*names, "failed" if n else "", str(sure)))
        for names, n, sure in zip(named, failed, doubt, strict=True)
    ]


def chance_to_pass(calls: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Each call's chance to pass: by the quality model, or by how many cheap scorers it fails."""
    if rows.empty:
        return np.full(len(calls), _PRIOR)
    model = rows[_by_model(rows) & rows["value"].notna()]
    if len(model):
        values = model.set_index(KEYS)["value"].astype(float)
        values = values[~values.index.duplicated()].reindex(pd.MultiIndex.from_frame(calls[KEYS]))
        return values.fillna(_PRIOR).to_numpy(dtype=float)
    chance: np.ndarray = _PRIOR * _PER_FAILURE ** failures(calls, rows)
    return chance


def failures(calls: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """How many cheap scorers each call fails."""
    if rows.empty:
        return np.zeros(len(calls))
    failed = rows[~_by_model(rows) & rows["passed"].eq(False).fillna(False).astype(bool)]
    counts = failed.groupby(KEYS).size().reindex(pd.MultiIndex.from_frame(calls[KEYS]))
    found: np.ndarray = counts.fillna(0).to_numpy(dtype=float)
    return found


def telling(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the choice depends on: few, of a day of any size."""
    if rows.empty:
        return rows
    told = _by_model(rows) | rows["passed"].eq(False).fillna(False).astype(bool)
    return rows.loc[told, [*KEYS, "scorer", "value", "passed"]].astype({"scorer": object})


def _by_model(rows: pd.DataFrame) -> pd.Series:
    return rows["scorer"].astype(str).str.startswith(QUALITY_MODEL)
