"""Which model calls are read: an unequal-probability sample whose probabilities are known.

The text of a call costs a request and a judge costs money, so only some calls of a day are read.
Every estimate weighs a row with 1 / (inclusion probability) (Horvitz & Thompson 1952), which keeps
it unbiased whatever was over-sampled. Rows are drawn by systematic sampling over rows sorted by
stratum and a hash: each row gets exactly its probability, every stratum its share to within one
row, the sample its size, and the same day, data and seed give the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

CHOSEN = pa.schema(
    [
        ("trace_id", pa.string()),
        ("observation_id", pa.string()),
        ("inclusion_probability", pa.float64()),
    ]
)
#: A call voted down, beside another of its stratum, where not all of them are read.
_LIKELIER = 4.0
_COLUMNS = [
    "trace_id",
    "observation_id",
    "type",
    "level",
    "feature",
    "prompt_version",
    "is_model_call",
    "is_evaluation",
]


def choose_texts(observations: pa.Table, scores: pa.Table, n: int, seed: int) -> pa.Table:
    """The model calls of one project's day whose input and output are to be fetched.

    The population is every product model call that answered: no embeddings, no evaluation
    overhead, no failed calls (signals count those), unless somebody marked it. Calls of traces that
    a person annotated are always in (probability 1), and so are those that a user voted down, as
    long as all of them are no more than `n`; where they are, the latter are only likelier than
    others. What is always in counts against `n`, but n / 2 others are drawn in any case: without
    them no rate of the day is estimable. They are drawn by strata of feature and prompt version, a
    stratum's share growing with the square root of its size (Bankier 1988), so that small features
    are seen too.

    `observations` and `scores` are rows of the lake's tables; the result has the columns of
    CHOSEN, in the order of trace and observation.
    """
    if n <= 0:
        return CHOSEN.empty_table()
    calls = observations.select(_COLUMNS).to_pandas()
    annotated, down = (_is_marked(calls, set(each)) for each in _marks(scores))
    product = calls["is_model_call"] & ~calls["is_evaluation"] & (calls["type"] != "EMBEDDING")
    answered = calls["level"] != "ERROR"
    population = (product & (answered | annotated | down)).to_numpy()
    calls, annotated, down = calls[population], annotated[population], down[population]
    if calls.empty:
        return CHOSEN.empty_table()
    keys = calls["trace_id"] + "\x1f" + calls["observation_id"]
    strata = calls["feature"] + "\x1f" + calls["prompt_version"].astype("string").fillna("")
    always = annotated | down
    if always.sum() > n:
        always = annotated
    priority = np.where(down, _LIKELIER, 1.0)
    probability, rest = np.ones(len(calls)), ~always
    probability[rest] = probabilities(
        size_weights(strata[rest]) * priority[rest], max(n - int(always.sum()), n // 2)
    )
    picked = systematic(probability, strata, hashes(keys, seed), start=_unit(f"{seed}"))
    chosen = calls.loc[picked, ["trace_id", "observation_id"]].assign(
        inclusion_probability=probability[picked]
    )
    chosen = chosen.sort_values(["trace_id", "observation_id"])
    return pa.Table.from_pandas(chosen, schema=CHOSEN, preserve_index=False)


def judge_weights(p_pass: np.ndarray, text_probability: np.ndarray) -> np.ndarray:
    """Weights for what a judge (or a person) should see, from the chance that a row passes.

    Half go where the estimate gains most, in proportion to a row's standard deviation over its
    text's inclusion probability (Neyman 1934; Zrnic & Candès 2024, arXiv 2403.03208), a quarter
    where failures are likely, for the review, and a quarter evenly: where a sure prediction is
    wrong, its row must not have been all but left out.
    """
    p = np.clip(p_pass, 0.02, 0.98)
    spread = np.sqrt(p * (1 - p)) / text_probability
    risk = 1 - p
    mixed: np.ndarray = 0.5 * spread / spread.sum() + 0.25 * risk / risk.sum() + 0.25 / len(p)
    return mixed


def size_weights(strata: pd.Series) -> np.ndarray:
    """Weights that give a stratum of N rows a share in proportion to the square root of N."""
    sizes = strata.map(strata.value_counts()).to_numpy(dtype=float)
    return sizes**-0.5


def probabilities(weights: np.ndarray, n: float) -> np.ndarray:
    """Inclusion probabilities in proportion to `weights` (all > 0), at most 1, adding up to n.

    Rows whose share would pass 1 are taken for certain and the others share what is left.
    """
    result = np.ones(len(weights))
    if n >= len(weights):
        return result
    certain = np.zeros(len(weights), dtype=bool)
    while True:
        left = n - certain.sum()
        share = weights * (left / weights[~certain].sum()) if not certain.all() else weights
        above = ~certain & (share >= 1)
        if not above.any():
            return np.where(certain, 1.0, share)
        certain |= above


def systematic(
    probability: np.ndarray, strata: Sequence[str] | pd.Series, order: np.ndarray, start: float
) -> np.ndarray:
    """A mask of the rows drawn: one wherever the running sum of probabilities, shifted by `start`
    in [0, 1), passes a whole number; rows are run through by stratum and, within it, by `order`.
    """
    sequence = np.lexsort((order, pd.factorize(np.asarray(strata), sort=True)[0]))
    # Rounded, so that a sum of tenths that should be whole is whole.
    steps = np.floor(np.round(np.cumsum(probability[sequence]) + start, 9))
    drawn = np.diff(steps, prepend=np.floor(start)) >= 1
    mask = np.zeros(len(probability), dtype=bool)
    mask[sequence] = drawn
    return mask | (probability >= 1)


def hashes(keys: Iterable[str], seed: int) -> np.ndarray:
    """A number in [0, 1) per key, the same in every process."""
    return np.array([_unit(f"{seed}\x1f{key}") for key in keys])


def _unit(text: str) -> float:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**64


def votes(scores: pa.Table) -> dict[str, bool]:
    """Trace -> whether its users voted it up; one vote against it outweighs the others."""
    names = ["trace_id", "source", "data_type", "value"]
    found: dict[str, bool] = {}
    for row in scores.select(names).to_pylist():
        voted = row["source"] == "API" and row["data_type"] == "BOOLEAN"
        if voted and row["trace_id"] and row["value"] is not None:
            found[row["trace_id"]] = found.get(row["trace_id"], True) and row["value"] > 0
    return found


def _marks(scores: pa.Table) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(trace, observation or '') of every label by people, and of every vote against an answer."""
    columns = ["trace_id", "observation_id", "source", "data_type", "value", "subject_kind"]
    annotated, down = [], []
    for row in scores.select(columns).to_pylist():
        against = row["source"] == "API" and row["data_type"] == "BOOLEAN" and row["value"] == 0
        key = row["trace_id"], row["observation_id"] if row["subject_kind"] != "trace" else ""
        if row["trace_id"] and row["source"] == "ANNOTATION":
            annotated.append(key)
        elif row["trace_id"] and against:
            down.append(key)
    return annotated, down


def _is_marked(calls: pd.DataFrame, marks: set[tuple[str, str]]) -> np.ndarray:
    if not marks:
        return np.zeros(len(calls), dtype=bool)
    whole = {trace for trace, observation in marks if not observation}
    pairs = zip(calls["trace_id"], calls["observation_id"], strict=True)
    return np.array([pair[0] in whole or pair in marks for pair in pairs], dtype=bool)
