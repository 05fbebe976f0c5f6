"""What the watch looks at: model calls and traces of the last hours, as data frames."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from llmops_jobs.dimensions import DIMENSIONS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from llmops_jobs.ledger.book import PriceBook

SLICES = tuple(name for name in DIMENSIONS if name != "is_evaluation")
#: A trace has many calls: it is sliced only by what they share.
TRACE_SLICES = ("environment", "feature", "tenant")


@dataclass(frozen=True)
class Rows:
    """Product traffic from `since` on.

    calls: `at` (start, UTC), `ended`, the dimensions, `failed`, `status_message`, `latency_s`,
    `time_to_first_token_s`, `requests` (1), `errors` (0 or 1), token counts, `cost_usd`, ids.
    traces: `trace_id`, `at`, `ended` and TRACE_SLICES; one row per trace and part that was read.
    """

    calls: pd.DataFrame
    traces: pd.DataFrame
    since: datetime

    def at(self, now: datetime, since: datetime) -> Rows:
        """As it stood at `now`: what had ended by then, from `since` on."""
        import pandas as pd

        begin = max(since, self.since)

        def stood(part: pd.DataFrame) -> pd.DataFrame:
            return part[(part["ended"] <= pd.Timestamp(now)) & (part["at"] >= pd.Timestamp(begin))]

        return Rows(stood(self.calls), stood(self.traces), begin)

    def joined(self, later: Rows) -> Rows:
        """These rows before `later` begins, and those."""
        import pandas as pd

        cut = pd.Timestamp(later.since)

        def before(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
            return pd.concat([ours[ours["at"] < cut], theirs], ignore_index=True)

        calls, traces = before(self.calls, later.calls), before(self.traces, later.traces)
        return Rows(calls, traces, self.since)


def rows_of(observations: pa.Table, book: PriceBook, since: datetime) -> Rows:
    """Finished rows of the lake's shape (with or without its partition columns)."""
    import pyarrow.compute as pc

    from llmops_jobs.ledger.pricing import model_calls, price

    over = observations.filter(pc.is_valid(observations["end_time"]))
    over = over.filter(pc.invert(over["is_evaluation"]))
    calls = model_calls(over)
    kept = (
        *("trace_id", "observation_id", "level", "status_message", "latency_s"),
        *("time_to_first_token_s", "input_tokens", "output_tokens", "environment", "provider"),
        *("model", "feature", "prompt_name", "tenant"),
    )
    frame = calls.select(kept).to_pandas()
    frame["at"], frame["ended"] = (
        calls[name].to_pandas().dt.as_unit("us") for name in ("start_time", "end_time")
    )
    versions = calls["prompt_version"].cast("string")
    frame["prompt_version"] = pc.fill_null(versions, "").to_pandas()
    frame["failed"] = frame["level"] == "ERROR"
    frame["requests"], frame["errors"] = 1, frame["failed"].astype(int)
    costs = price(book, calls)
    priced = pc.fill_null(costs["cost_usd"].cast("float64"), 0.0).to_pandas()
    frame["cost_usd"] = priced.to_numpy() if len(priced) else 0.0
    return Rows(frame, _traces(over), since)


def _traces(observations: pa.Table) -> pd.DataFrame:
    frame = observations.select(("trace_id", *TRACE_SLICES)).to_pandas()
    frame["at"] = observations["start_time"].to_pandas().dt.as_unit("us")
    frame["ended"] = observations["end_time"].to_pandas().dt.as_unit("us")
    return merged(frame)


def merged(traces: pd.DataFrame) -> pd.DataFrame:
    """One row per trace: first start, last end, and the greatest of each label ('' is none)."""
    found = traces.groupby("trace_id", as_index=False).agg(
        {"at": "min", "ended": "max", **dict.fromkeys(TRACE_SLICES, "max")}
    )
    return found.assign(latency_s=(found["ended"] - found["at"]).dt.total_seconds())
