"""How each model call ended: its error's class and family, its attempts, and whether it was waste.

A wasted call has one reason, the first that applies: `schema_invalid`, `failed`, `superseded` (a
later attempt of the same logical call replaced it), `truncated` (cut by the output limit),
`user_rejected` (voted down on the same day). Reasons therefore add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.lake import files, schema
from llmops_jobs.lake.part import PartOfTraces
from llmops_jobs.signals import attempts, votes
from llmops_jobs.signals.cells import ERROR
from llmops_jobs.signals.families import family
from llmops_jobs.signals.settings import SignalSettings
from llmops_jobs.signals.truncation import TRUNCATED

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables

PART_ROWS: Final = 1_000_000  # observations of a day that are held at once
WASTE_REASONS: Final = ("schema_invalid", "failed", "superseded", "truncated", "user_rejected")
_TRUNCATED: Final = (*TRUNCATED, *(f"finishreason.{each}" for each in TRUNCATED))
# Keys under which instrumentations say which attempt a call is; those of the second count from 0.
_ATTEMPT: Final = ("attempt", "attempt_number", "llm.attempt")
_RETRY: Final = ("retry", "retry_count", "retry_attempt", "retries", "llm.retry_count")
_CALL: Final = ("logical_call_id", "request_group_id", "idempotency_key")
_SAYS_ATTEMPT: Final = "attempt|retr|logical_call|request_group|idempotency"

_KEY: Final = ["day", "trace_id", "observation_id"]
_SIBLINGS: Final = ["day", "trace_id", "parent_observation_id", "name"]
_MESSAGE: Final = ("status_message", "finish_reason")
_SCORES: Final = (
    *("day", "name", "source", "data_type", "value", "string_value", "subject_kind"),
    *("trace_id", "observation_id"),
)
_REJECTED: Final = pa.schema(
    [("day", pa.date32()), ("trace_id", pa.string()), ("observation_id", pa.string())]
)
_SAID: Final = pa.schema([*_REJECTED, ("said_attempt", pa.int64()), ("said_call", pa.string())])


def compute(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], settings: SignalSettings
) -> Iterator[tuple[date, pa.Table | Iterator[pa.Table]]]:
    """Each day's rows of the lake's `outcomes`, from its observations, costs, scores and text.

    The days of at most `PART_ROWS` observations are one aggregate; a larger day comes as tables
    of some of its traces each, computed as they are asked for: memory is that of one.

    Raises nothing of its own: what cannot be classified is `unknown`, what cannot be grouped is a
    logical call of one attempt.
    """
    parts = {day: -(-lake.count("observations", project, day) // PART_ROWS) for day in days}
    together = [day for day in days if parts[day] <= 1]
    whole: dict[date, pa.Table] = {}
    if together:
        rejected = _rejected(lake.read_days("scores", project, together, _SCORES), settings)
        calls = _found(engine, lake, project, together, rejected)
        rows = _ends(calls, settings.retry_gap_seconds)
        for day in together:
            whole[day] = rows.filter(pc.equal(calls["day"], pa.scalar(day, pa.date32())))
        del calls, rows
    for day in days:
        if day in whole:
            yield day, whole.pop(day)
        else:
            yield day, _in_parts(engine, lake, project, day, settings, parts[day])


def _in_parts(
    engine: Engine, lake: Lake, project: str, day: date, settings: SignalSettings, of: int
) -> Iterator[pa.Table]:
    """A day's rows in `of` tables. Attempts are siblings in a trace: each has whole traces."""
    scores = files.parts(lake, "scores", project, day, _SCORES)
    rejected = pa.concat_tables(
        [_REJECTED.empty_table(), *(_rejected(rows, settings) for rows in scores)]
    )
    for part in range(of):
        calls = _found(PartOfTraces(engine, part, of), lake, project, [day], rejected)
        yield _ends(calls, settings.retry_gap_seconds)


def _found(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], rejected: pa.Table
) -> pa.Table:
    said = _said(engine.run(_saying, lake, project, days))
    return engine.run(_calls, lake, project, days, {"said": said, "rejected": rejected})


def _ends(calls: pa.Table, gap: float) -> pa.Table:
    """The outcomes of `_calls`, row by row."""
    failed = calls["failed"].to_numpy(zero_copy_only=False)
    found = [
        family(message, reason)
        for message, reason in zip(
            *(calls[name].filter(calls["failed"]).to_pylist() for name in _MESSAGE), strict=True
        )
    ]
    kind = _text(len(calls), failed, [each.error_type for each in found])
    ids, attempt, attempts_, is_final = _grouped(calls, gap)
    place = np.select(
        [
            pc.equal(kind, "schema_invalid").to_numpy(zero_copy_only=False),
            failed,
            ~is_final,
            calls["truncated"].to_numpy(zero_copy_only=False),
            calls["rejected"].to_numpy(zero_copy_only=False),
        ],
        np.arange(1, len(WASTE_REASONS) + 1),
        0,
    )
    wasted = pc.if_else(pa.array(place > 0), calls["cost_usd"], pa.scalar(0, schema.USD))
    return pa.table(
        {
            "trace_id": calls["trace_id"],
            "observation_id": calls["observation_id"],
            "error_type": kind,
            "family_id": _text(len(calls), failed, [each.id for each in found]),
            "logical_call_id": ids,
            "attempt": pa.array(attempt),
            "attempts": pa.array(attempts_),
            "is_final": pa.array(is_final),
            "waste_reason": _coded(place, ["", *WASTE_REASONS]),
            "wasted_usd": wasted,
        }
    )


def _grouped(
    calls: pa.Table, gap: float
) -> tuple[pa.ChunkedArray, np.ndarray, np.ndarray, np.ndarray]:
    """Logical call, attempt, attempts, is_final. Only calls that share trace, parent and name with
    a failure that was followed by a call, or state their attempt, are looked at; every other call
    is its own."""
    n = len(calls)
    attempt, attempts_, is_final = np.ones(n, np.int32), np.ones(n, np.int32), np.ones(n, bool)
    ids = calls["observation_id"].combine_chunks()
    suspect = calls["suspect"].to_numpy(zero_copy_only=False).copy()
    rows = calls.select(list(attempts.Call._fields)).filter(calls["suspect"])
    for name in ("start", "end"):
        rows = rows.set_column(
            rows.column_names.index(name), name, rows[name].cast(pa.int64(), safe=False)
        )
    followed = _followed(rows)
    suspect[suspect] = followed
    columns = rows.filter(pa.array(followed)).columns
    found = attempts.group(
        [attempts.Call(*row) for row in zip(*(c.to_pylist() for c in columns), strict=True)], gap
    )
    if found:
        first, number, of, final = zip(*found, strict=True)
        attempt[suspect], attempts_[suspect], is_final[suspect] = number, of, final
        ids = pc.replace_with_mask(ids, pa.array(suspect), pa.array(first, pa.string()))
    return ids, attempt, attempts_, is_final


def _followed(rows: pa.Table) -> np.ndarray:
    """Calls of traces in which a call began after another had failed and ended, or states its
    attempt. Most failures are nobody's first attempt: they need no search for a second."""
    trace = pc.dictionary_encode(rows["trace_id"]).combine_chunks().indices.to_numpy()
    failed = rows["failed"].to_numpy(zero_copy_only=False)
    start, end = rows["start"].to_numpy(), rows["end"].to_numpy()
    stated = (rows["said_attempt"].to_numpy() != 0) | pc.not_equal(rows["said_call"], "").to_numpy(
        zero_copy_only=False
    )
    traces = int(trace.max(initial=-1)) + 1
    first_end, last_start = np.full(traces, np.iinfo(np.int64).max), np.full(traces, 0)
    np.minimum.at(first_end, trace[failed], end[failed])
    np.maximum.at(last_start, trace, start)
    open_ = last_start >= first_end
    open_[trace[stated]] = True
    found: np.ndarray = open_[trace]
    return found


def _text(n: int, where: np.ndarray, values: Sequence[str]) -> pa.Array:
    """A column that is `values` at `where`, and '' elsewhere."""
    distinct = ["", *sorted(set(values))]
    code = {value: place for place, value in enumerate(distinct)}
    place = np.zeros(n, np.int32)
    place[where] = [code[value] for value in values]
    return _coded(place, distinct)


def _coded(place: np.ndarray, values: Sequence[str]) -> pa.Array:
    return pa.array(list(values), pa.string()).take(pa.array(place))


def _calls(t: Tables) -> ir.Table:
    """Model calls, what they cost, and the few flags that decide how they ended."""
    o = t["observations"]
    o = o.filter(o.is_model_call)
    said, rejected = t["said"], t["rejected"]
    stated = o.semi_join(said, _KEY).select(*_SIBLINGS)
    suspects = o.filter(o.level == ERROR).select(*_SIBLINGS).union(stated, distinct=True)
    whole = rejected.filter(rejected.observation_id == "").select("day", "trace_id").distinct()
    single = rejected.filter(rejected.observation_id != "").distinct()
    rows = _joined(o, t["costs"], _KEY, "cost_usd")
    rows = _joined(rows, said, _KEY, "said_attempt", "said_call")
    rows = _joined(rows, suspects.mutate(suspect=True), _SIBLINGS, "suspect")
    rows = _joined(rows, whole.mutate(voted=True), ["day", "trace_id"], "voted")
    rows = _joined(rows, single.mutate(voted_itself=True), _KEY, "voted_itself")
    suspect = rows.suspect.fill_null(False)
    failed = rows.level == ERROR
    walked = {
        **{name: rows[name] for name in ("parent_observation_id", "name", "model")},
        "start": rows.start_time,
        "end": rows.end_time.coalesce(rows.start_time),
        "said_attempt": rows.said_attempt.fill_null(0),
        "said_call": rows.said_call.fill_null(""),
    }
    return rows.select(
        *_KEY,
        "cost_usd",
        suspect=suspect,
        failed=failed,
        rejected=rows.voted.fill_null(False) | rows.voted_itself.fill_null(False),
        truncated=rows.finish_reason.lower().replace("-", "_").isin(_TRUNCATED),
        # Text that is not looked at need not travel.
        **{name: suspect.ifelse(value, None) for name, value in walked.items()},
        **{name: failed.ifelse(rows[name], None) for name in _MESSAGE},
    )


def _joined(rows: ir.Table, other: ir.Table, key: Sequence[str], *columns: str) -> ir.Table:
    """`rows` with the columns of at most one row of `other`."""
    other = other.select(
        **{f"_{name}": other[name] for name in key}, **{c: other[c] for c in columns}
    )
    joined = rows.left_join(other, [rows[name] == other[f"_{name}"] for name in key])
    return joined.drop(*(f"_{name}" for name in key))


def _saying(t: Tables) -> ir.Table:
    """Metadata and model parameters that may say which attempt a call is."""
    text, o = t["observation_text"], t["observations"]
    by_text = text.select(*_KEY, said=text.metadata)
    by_parameters = o.filter(o.is_model_call).select(*_KEY, said=o.model_parameters)
    both = by_text.union(by_parameters)
    return both.filter(both.said.re_search(_SAYS_ATTEMPT))


def _said(rows: pa.Table) -> pa.Table:
    """What the instrumentation states about attempts, one row a call."""
    stated: dict[tuple[object, ...], tuple[int, str]] = {}
    for *key, text in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        number, call = _attempt(text)
        if number or call:
            stated.setdefault(tuple(key), (number, call))
    return pa.Table.from_pylist(
        [dict(zip(_SAID.names, (*key, *value), strict=True)) for key, value in stated.items()],
        schema=_SAID,
    )


def _rejected(scores: pa.Table, settings: SignalSettings) -> pa.Table:
    """Traces and calls that people voted down by these scores."""
    table = scores.to_pandas()
    kind = table["subject_kind"]
    down = (votes.polarity(table, settings.feedback) < 0) & (table["source"] != "EVAL")
    rows = table[down & kind.isin(["trace", "observation"])].copy()
    rows["observation_id"] = rows["observation_id"].where(rows["subject_kind"] != "trace", "")
    return pa.Table.from_pandas(rows[_KEY], schema=_REJECTED, preserve_index=False)


def _attempt(text: str) -> tuple[int, str]:
    """(attempt from 1 or 0, logical call or '') that a JSON object states at its top level."""
    try:
        stated = orjson.loads(text)
    except orjson.JSONDecodeError:
        return 0, ""
    if not isinstance(stated, dict):
        return 0, ""
    number = 0
    for keys, offset in ((_ATTEMPT, 0), (_RETRY, 1)):
        for key in keys:
            value = str(stated.get(key, "")).strip('"')
            if not number and value.isdecimal() and len(value) < 4:
                number = int(value) + offset
    call = next((str(stated[key]) for key in _CALL if stated.get(key)), "")
    return number, call
