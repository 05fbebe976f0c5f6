"""What the rows of a trace say together: one row per id, shared labels, which calls are real.

Works on whole traces of one day; a day may be cut into parts by trace, never through one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.langfuse.rows import GENERATIONS, is_evaluation

# Instrumentations set these on some rows of a trace only: the others take them from the root, or
# else from the trace's earliest row that has one.
COALESCED: Final = ("feature", "tenant", "user_id", "session_id", "release")
# Walking up from a call, these end the walk: a model asked inside a tool is a call of its own.
_BOUNDARIES: Final = ("TOOL", "RETRIEVER", "EVALUATOR", "GUARDRAIL")
_DEEPEST: Final = 64


def finish(rows: pa.Table) -> tuple[pa.Table, int]:
    """(the day's rows, how many duplicates were dropped), in the order of trace and id."""
    rows, duplicates = deduplicated(rows)
    if not rows.num_rows:
        return rows, duplicates
    traces = _codes(rows["trace_id"])
    order = _root_first(rows, traces)
    for name in COALESCED:
        column = _coalesced(rows[name], traces, order)
        rows = rows.set_column(rows.column_names.index(name), name, column)
    calls = pa.array(_model_calls(rows))
    rows = rows.set_column(rows.column_names.index("is_model_call"), "is_model_call", calls)
    evaluation = is_evaluation(rows["environment"])
    rows = rows.set_column(rows.column_names.index("is_evaluation"), "is_evaluation", evaluation)
    return rows, duplicates


def deduplicated(
    rows: pa.Table, key: tuple[str, ...] = ("trace_id", "observation_id")
) -> tuple[pa.Table, int]:
    """The newest version of each key by `updated_at`, and how many versions were dropped.

    Versions of one instant are told apart by their content, so that the same rows in another
    order give the same result.
    """
    ties = [
        name
        for name in ("usage_details", "cost_details", "name", "value")
        if name in rows.column_names
    ]
    # Nulls first, so that a version that has an instant is newer than one that has none.
    by = [(name, "ascending", "at_start") for name in (*key, "updated_at", *ties)]
    rows = rows.take(pc.sort_indices(rows, sort_keys=by))
    if rows.num_rows < 2:
        return rows, 0
    last = np.zeros(rows.num_rows, dtype=bool)
    last[-1] = True
    for name in key:
        column = rows[name].combine_chunks()
        last[:-1] |= pc.not_equal(column[:-1], column[1:]).to_numpy(zero_copy_only=False)
    dropped = int((~last).sum())
    return (rows.filter(pa.array(last)) if dropped else rows), dropped


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    coded = values.combine_chunks()
    if isinstance(coded, pa.ChunkedArray):
        coded = pa.concat_arrays(coded.chunks)
    codes: np.ndarray = coded.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return codes


def _root_first(rows: pa.Table, traces: np.ndarray) -> np.ndarray:
    start = rows["start_time"].cast(pa.int64()).to_numpy()
    child = ~rows["is_root"].to_numpy(zero_copy_only=False).astype(bool)
    order: np.ndarray = np.lexsort((start, child, traces))
    return order


def _coalesced(values: pa.ChunkedArray, traces: np.ndarray, order: np.ndarray) -> pa.ChunkedArray:
    empty = pc.equal(values, "").to_numpy(zero_copy_only=False)
    if not empty.any() or empty.all():
        return values
    having = order[~empty[order]]
    first = np.ones(len(having), dtype=bool)
    first[1:] = traces[having[1:]] != traces[having[:-1]]
    source = np.full(int(traces.max()) + 1, -1)
    source[traces[having[first]]] = having[first]
    row = np.where(empty, source[traces], np.arange(len(traces)))
    row = np.where(row < 0, np.arange(len(traces)), row)
    return values.take(pa.array(row))


def _model_calls(rows: pa.Table) -> np.ndarray:
    """Generations that are not wrappers of other generations.

    Frameworks repeat a call's usage on the span around it (and two instrumentations at once report
    one call twice, one inside the other): the innermost row is the call.
    """
    call: np.ndarray = pc.is_in(rows["type"], pa.array(GENERATIONS)).to_numpy(zero_copy_only=False)
    calls = np.array(call, dtype=bool)
    if not calls.any():
        return calls
    parent = _parents(rows)
    boundary = pc.is_in(rows["type"], pa.array(_BOUNDARIES)).to_numpy(zero_copy_only=False)
    wrapper = np.zeros(len(calls), dtype=bool)
    frontier = np.unique(parent[calls])
    for _ in range(_DEEPEST):
        frontier = frontier[frontier >= 0]
        if not len(frontier):
            break
        wrapper[frontier[calls[frontier]]] = True
        frontier = np.unique(parent[frontier[~boundary[frontier]]])
    result: np.ndarray = calls & ~wrapper
    return result


def _parents(rows: pa.Table) -> np.ndarray:
    """The row number of each row's parent, -1 where the day does not have it."""
    joined = pc.binary_join_element_wise(rows["trace_id"], rows["observation_id"], "\x1f")
    wanted = pc.binary_join_element_wise(rows["trace_id"], rows["parent_observation_id"], "\x1f")
    found = pc.index_in(wanted, value_set=joined)
    parents: np.ndarray = pc.fill_null(found, -1).to_numpy()
    parents = np.where(pc.equal(rows["parent_observation_id"], ""), -1, parents)
    return np.where(parents == np.arange(len(parents)), -1, parents)
