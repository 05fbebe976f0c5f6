"""The calls of a day out of the lake: its text joined with what the observations say of each."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.evals.calls import Call
from llmops_jobs.lake import Lake, files, schema

_FROM_OBSERVATIONS = (
    "model",
    "feature",
    "prompt_name",
    "prompt_version",
    "finish_reason",
    "model_parameters",
    "level",
    "user_id",
)
_DRAWN_BY = ("feature", "prompt_name", "prompt_version")
_FROM_TEXT = ("input", "output", "metadata", "inclusion_probability")
_KEYS = ("trace_id", "observation_id")
_TEXT_COLUMNS = (*_KEYS, *_FROM_TEXT)
_NOTHING = pa.schema([schema.OBSERVATION_TEXT.field(name) for name in _TEXT_COLUMNS]).empty_table()
_ROWS_AT_ONCE = 20_000
_SLICE_BYTES = 48 << 20


def calls_of_day(lake: Lake, project: str, day: date) -> list[Call]:
    """The calls of a project's day whose text the lake holds."""
    text = lake.read_day("observation_text", project, day, _TEXT_COLUMNS)
    return read_calls(text, about_of_day(lake, project, day)) if text.num_rows else []


def calls_of_traces(lake: Lake, project: str, day: date, traces: AbstractSet[str]) -> list[Call]:
    """Those of some traces only: the texts of the others are not even made strings."""
    if not traces:
        return []
    wanted = pa.array(sorted(traces), pa.string())
    parts = files.parts(lake, "observation_text", project, day, _TEXT_COLUMNS, _ROWS_AT_ONCE)
    found = [part.filter(pc.is_in(part["trace_id"], wanted)) for part in parts]
    return read_calls(pa.concat_tables(found), about_of_day(lake, project, day)) if found else []


def about_of_day(lake: Lake, project: str, day: date) -> pa.Table:
    """What the observations say about each call of a day, whose text is read beside it."""
    return lake.read_day("observations", project, day, [*_KEYS, *_FROM_OBSERVATIONS])


def population(lake: Lake, project: str, day: date) -> pd.DataFrame:
    """A day's calls without their texts: keys, inclusion probability, feature and prompt."""
    text = lake.read_day("observation_text", project, day, [*_KEYS, "inclusion_probability"])
    about = lake.read_day("observations", project, day, [*_KEYS, *_DRAWN_BY])
    calls = text.to_pandas().merge(_about_those(text, about).to_pandas(), on=list(_KEYS))
    version = calls["prompt_version"].astype("Int64").astype("string").fillna("")
    return calls.assign(prompt_version=version.astype(object))


def slices_of_day(
    lake: Lake, project: str, day: date, size: int, most_bytes: int = _SLICE_BYTES
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """A day's calls, `size` at a time (fewer where their texts come to `most_bytes`, and at the
    end), as the arguments of `read_calls`: a day of any size in the memory of a slice."""
    about, held = None, _NOTHING
    for part in files.parts(lake, "observation_text", project, day, _TEXT_COLUMNS, -(-size // 10)):
        about = about if about is not None else about_of_day(lake, project, day)
        held = pa.concat_tables([held, part])
        while full := _full(held, size, most_bytes):
            yield held.slice(0, full), _about_those(held.slice(0, full), about)
            held = held.slice(full)
    if about is not None and held.num_rows:
        yield held, _about_those(held, about)


def _full(held: pa.Table, size: int, most_bytes: int) -> int:
    """How many rows make a slice; 0 when there are not enough of them yet."""
    texts = (pc.binary_length(held[name]).fill_null(0) for name in ("input", "output", "metadata"))
    bytes_until = np.cumsum(sum(each.to_numpy() for each in texts), dtype=np.int64)
    heavy = int(np.searchsorted(bytes_until, most_bytes)) + 1
    return min(size, heavy) if held.num_rows >= min(size, heavy) else 0


def _about_those(text: pa.Table, about: pa.Table) -> pa.Table:
    return about.filter(pc.is_in(about["observation_id"], pc.unique(text["observation_id"])))


def read_calls(text: pa.Table, observations: pa.Table) -> list[Call]:
    """The lake's text of one day, joined with what the observations say about each call."""
    observations = _about_those(text, observations)
    known = dict(zip(_column_pairs(observations), _about(observations), strict=True))
    values = [text[name].to_pylist() for name in _FROM_TEXT]
    calls = []
    for key, asked, said, metadata, probability in zip(_column_pairs(text), *values, strict=True):
        if key in known:
            texts = (_string(asked), _string(said), _string(metadata))
            about = dict(zip(_FROM_OBSERVATIONS, known[key], strict=True))
            calls.append(Call(key[0], key[1], *texts, probability, **about))
    return calls


def _column_pairs(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(*(table[name].to_pylist() for name in _KEYS), strict=True))


def _about(observations: pa.Table) -> list[tuple[str, ...]]:
    columns = (map(_string, observations[name].to_pylist()) for name in _FROM_OBSERVATIONS)
    return list(zip(*columns, strict=True))


def _string(value: Any) -> str:
    return "" if value is None else str(value)


def call_keys(table: pa.Table) -> pa.Array:
    """Trace and observation of every row as one text."""
    keys = pc.binary_join_element_wise(table["trace_id"], table["observation_id"], "\n")
    return keys.combine_chunks()
