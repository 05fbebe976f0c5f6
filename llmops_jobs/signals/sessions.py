"""Votes on sessions: each counts for the trace that the session had last when it was given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables

_RATED: Final = pa.schema([("session_id", pa.string())])


def on_traces(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], scores: pd.DataFrame
) -> pd.DataFrame:
    """Scores (rows of the lake), those on sessions with the `trace_id` of the session's last trace
    that began before them on one of the `days`; '' where it had none."""
    mine = (scores["subject_kind"] == "session").to_numpy(bool)
    if not mine.any():
        return scores
    wanted = pa.Table.from_pydict(
        {"session_id": scores.loc[mine, "session_id"].unique()}, schema=_RATED
    )
    traces = engine.run(_traces, lake, project, days, {"rated": wanted}).to_pandas()
    given = scores.loc[mine, ["session_id", "timestamp"]].reset_index(names="place")
    met = given.merge(traces, on="session_id")
    met = met[met["start"] <= met["timestamp"]].sort_values(["start", "trace_id"])
    last = met.drop_duplicates("place", keep="last").set_index("place")["trace_id"]
    trace = scores["trace_id"].astype(object).where(~mine, "")
    trace.loc[last.index] = last
    return scores.assign(trace_id=trace)


def _traces(t: Tables) -> ir.Table:
    o = t["observations"]
    o = o.filter(o.session_id.isin(t["rated"].session_id))
    return o.group_by(["session_id", "trace_id"]).agg(start=o.start_time.min())
