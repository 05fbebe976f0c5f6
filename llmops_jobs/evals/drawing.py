"""The questions of a day's calls, or of those of them that a hash of their traces draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.reading import call_keys
from llmops_jobs.lake import Lake, files

_ABOUT = ("trace_id", "observation_id", "feature", "user_id")
_DRAWN_BY = ("trace_id", "observation_id", "inclusion_probability")
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A call's question. `weight` is 1 / the probability with which it was read, 0 where it is read
    beside the even sample of the day; `always`: its text is in the lake for certain."""

    trace_id: str
    observation_id: str
    question: str
    user: str
    feature: str
    always: bool
    weight: float


def asked_on(lake: Lake, project: str, day: date, most: int, of_a_feature: int) -> Iterator[Asked]:
    """Questions of a day in its order: all when it has at most `most` calls, else `most` of them
    drawn evenly, and of every feature at least `of_a_feature`, which weigh nothing.

    The calls of a trace are drawn together, by a hash of trace and day: a day always has the same,
    and a smaller draw is a part of a larger one.
    """
    return asked(drawn(lake, project, day, most, of_a_feature))


def drawn(lake: Lake, project: str, day: date, most: int, of_a_feature: int) -> pa.Table:
    """The calls of `asked_on`, each with its input: what takes time here is outside Python."""
    about = lake.read_day("observations", project, day, _ABOUT)
    rows = lake.read_day("observation_text", project, day, _DRAWN_BY)
    place = pc.index_in(call_keys(rows), call_keys(about))
    rows = rows.filter(place.is_valid())
    told = about.select(["feature", "user_id"]).take(place.drop_null())
    chosen, even = _draw(rows["trace_id"], told["feature"], day, most, of_a_feature)
    share = even.sum() / max(1, len(even))
    rows, told = rows.filter(pa.array(chosen)), told.filter(pa.array(chosen))
    weights = 1 / (rows["inclusion_probability"].to_numpy() * share)
    for name in told.column_names:
        rows = rows.append_column(name, told[name])
    rows = rows.append_column("weight", pa.array(np.where(even[chosen], weights, 0.0)))
    return rows.append_column("input", _inputs(lake, project, day, rows))


def asked(rows: pa.Table) -> Iterator[Asked]:
    """The questions of drawn calls."""
    names = (*_DRAWN_BY, "feature", "user_id", "weight", "input")
    columns = (rows[name].to_pylist() for name in names)
    for trace, observation, p, feature, user, weight, text in zip(*columns, strict=True):
        question = Call(trace, observation, text or "", "").question
        yield Asked(trace, observation, question, user or trace, feature or "", p >= 1, weight)


def _draw(
    traces: pa.ChunkedArray, features: pa.ChunkedArray, day: date, most: int, of_a_feature: int
) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the rows that are read, and of those of them that are an even sample."""
    n = len(traces)
    if n <= most:
        return np.ones(n, bool), np.ones(n, bool)
    hashed = pd.util.hash_array(
        traces.to_numpy().astype(object), hash_key=f"{day:%Y%m%d}".ljust(16), categorize=False
    )
    order = np.argsort(hashed, kind="stable")
    rank = np.empty(n, int)
    rank[order] = np.arange(n)
    kinds = pd.Series(pd.factorize(features.to_pandas())[0][order])
    in_feature = np.empty(n, int)
    in_feature[order] = kinds.groupby(kinds).cumcount()
    even = rank < most
    return even | (in_feature < of_a_feature), even


def _inputs(lake: Lake, project: str, day: date, rows: pa.Table) -> pa.ChunkedArray:
    """The inputs of some calls of a day, in their order."""
    wanted, names = call_keys(rows), ["trace_id", "observation_id", "input"]
    keys, texts = list[pa.Array](), list[pa.Array]()
    for part in files.parts(lake, "observation_text", project, day, names, _ROWS_AT_ONCE):
        mine = part.filter(pc.is_in(call_keys(part), wanted))
        keys.append(call_keys(mine))
        texts += mine["input"].chunks
    place = pc.index_in(wanted, pa.chunked_array(keys, pa.string()).combine_chunks())
    return pa.chunked_array(texts, pa.string()).take(place)
