"""Ibis expressions that several signals share: the dimensions of a call and of a trace.

A trace has the environment, feature, tenant and kind of its root, and the provider, model and
prompt of its *answering call*: the last successful generation (then any last model call). A
trace is measured on the day of its root, from that day's rows; what it did after midnight is not
seen, so that a day reads nothing later than itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.lake.cells import CELL, in_form, numbered
from llmops_jobs.lake.shared import shared

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine

    Tables = Mapping[str, ir.Table]

_ROOT: Final = ("environment", "feature", "tenant")
_ANSWER: Final = ("provider", "model", "prompt_name", "prompt_version")
ERROR: Final = "ERROR"
_READ: Final = (
    "day", "trace_id", "observation_id", "is_root", "is_model_call", "is_evaluation", "type",
    "level", "start_time", "end_time", "completion_start_time", "output_tokens", "session_id",
)  # fmt: skip
_NO_CALL: Final = -1
TAILS: Final = pa.schema([("day", pa.date32()), ("trace_id", pa.string())])


def model_calls(t: Tables) -> ir.Table:
    """The day's model calls, with the version of the prompt as text."""
    observations = t["observations"]
    calls = observations.filter(observations.is_model_call)
    return calls.mutate(**in_form(calls))


def whole_traces(t: Tables) -> tuple[ir.Table, ir.Table]:
    """`traces` of the day without the caller's `tails`."""
    rows, cells = _with_cell(shared(t, every_trace), shared(t, every_cell))
    return rows.anti_join(t["tails"], ["day", "trace_id"]), cells


def traces(o: ir.Table) -> tuple[ir.Table, ir.Table]:
    """One row per day and trace of the observations `o`: the number of its `cell` and what
    `_grouped` has of it; and the cells, as of `numbered`."""
    return _with_cell(_grouped(o), numbered(o)[1])


def every_trace(t: Tables) -> ir.Table:
    """The day's traces, with the numbers of the cells of their root and answering call."""
    return _grouped(t["observations"])


def every_cell(t: Tables) -> ir.Table:
    """The cells that the numbers of `every_trace` are those of."""
    return numbered(t["observations"])[1]


def _grouped(o: ir.Table) -> ir.Table:
    """One row per day and trace: the cells of its `root` and `answer`, `start`, `end`, `has_root`,
    `is_evaluation` (of any row), `session_id`, the answering call's `first_token`, and of its model
    calls the numbers `model_calls`, `ok`, `failed` and the sum `output_tokens`."""
    import ibis

    o, _ = numbered(o, **{name: o[name] for name in _READ})
    # The order and, behind it, what is wanted: an engine's own `argmax` costs twice as much.
    first = ibis.struct(
        {
            "not_root": ~o.is_root,
            "start": o.start_time,
            "id": o.observation_id,
            "cell": o.cell,
        }
    )
    good = (~o.is_evaluation).cast("int8") * 4 + (o.level != ERROR).cast("int8") * 2
    last = ibis.struct(
        {
            "good": good + (o.type != "EMBEDDING").cast("int8"),
            "start": o.start_time,
            "id": o.observation_id,
            "cell": o.cell,
            "first_token": o.completion_start_time,
        }
    )
    grouped = o.group_by(["day", "trace_id"]).agg(
        root=first.min()["cell"],
        last=last.max(where=o.is_model_call),
        start=o.start_time.min(),
        end=ibis.coalesce(o.end_time, o.start_time).max(),
        has_root=o.is_root.any(),
        is_evaluation=o.is_evaluation.any(),
        session_id=o.session_id.max(),
        output_tokens=o.output_tokens.sum(where=o.is_model_call),
        model_calls=o.is_model_call.sum(),
        ok=(o.is_model_call & (o.level != ERROR)).sum(),
        failed=(o.is_model_call & (o.level == ERROR)).sum(),
    )
    return grouped.select(
        *(name for name in grouped.columns if name != "last"),
        answer=grouped.last["cell"].fill_null(_NO_CALL),
        first_token=grouped.last["first_token"],
    )


def _with_cell(grouped: ir.Table, codes: ir.Table) -> tuple[ir.Table, ir.Table]:
    pairs = _cells_of_pairs(grouped.select("root", "answer").distinct(), codes)
    rows = grouped.inner_join(pairs.select("root", "answer", "cell"), ["root", "answer"])
    kept = [name for name in rows.columns if name not in ("root", "answer")]
    return rows.select(*kept), pairs.select("cell", *CELL).distinct()


def _cells_of_pairs(pairs: ir.Table, codes: ir.Table) -> ir.Table:
    """`root`, `answer`, `cell` and CELL: a trace's cell is its root's in part, its answer's in
    part."""
    import ibis

    root = codes.select("day", *_ROOT, "is_evaluation", root="cell")
    answer = codes.select(*_ANSWER, answer_="cell")
    both = pairs.inner_join(root, "root").left_join(answer, ibis._.answer == answer.answer_)
    both = both.mutate(**{name: both[name].fill_null("") for name in _ANSWER}).drop("answer_")
    return both.mutate(cell=ibis.dense_rank().over(order_by=[both[name] for name in CELL]))


def stacked(**parts: ir.Table) -> ir.Table:
    """Several results as one, so that what they share is computed once: `part` names the result of
    a row, and columns that a result does not have are null. `unstacked` takes them apart."""
    import ibis

    kinds = {name: part[name].type() for part in parts.values() for name in part.columns}
    rows = [
        part.select(
            **{
                name: part[name] if name in part.columns else ibis.literal(None, kind)
                for name, kind in sorted(kinds.items())
            },
            part=ibis.literal(name),
        )
        for name, part in parts.items()
    ]
    return ibis.union(*rows, distinct=False)


def unstacked(rows: pa.Table, part: str, *columns: str) -> pa.Table:
    """One result of `stacked`."""
    return rows.filter(pc.equal(rows["part"], part)).select(list(columns))


def tails(engine: Engine, lake: Lake, project: str, days: Sequence[date]) -> pa.Table:
    """Day and id of what is left, on these days, of traces that were measured on the day before:
    rows of the day, none of them a root, and rows of the day before.

    The day before is read only where a day has traces without a root at all.
    """
    rootless = engine.run(_rootless, lake, project, days)["day"].to_pylist()
    if not rootless:
        return TAILS.empty_table()
    read = sorted({*rootless, *(day - timedelta(days=1) for day in rootless)})
    found = engine.run(_continued, lake, project, read)
    return found.filter(pc.is_in(found["day"], pa.array(rootless, pa.date32()))).cast(TAILS)


def _rootless(t: Tables) -> ir.Table:
    seen = shared(t, every_trace, otherwise=_rooted)
    return seen.filter(~seen.has_root).select("day").distinct()


def _rooted(t: Tables) -> ir.Table:
    o = t["observations"]
    return o.group_by(["day", "trace_id"]).agg(has_root=o.is_root.any())


def _continued(t: Tables) -> ir.Table:
    seen = _rooted(t)
    before = seen.select(trace_id=seen.trace_id, day=_next_day(seen.day))
    rootless = seen.filter(~seen.has_root)
    return rootless.semi_join(before, ["day", "trace_id"]).select("day", "trace_id")


def _next_day(day: ir.DateValue) -> ir.DateValue:
    import ibis

    return (day + ibis.interval(days=1)).cast("date")
