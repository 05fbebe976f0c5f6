"""How each model call ended: its error's class and family, its attempts, and whether it was waste.

A wasted call has one reason, the first that applies: `schema_invalid`, `failed`, `superseded` (a
later attempt of the same logical call replaced it), `truncated` (cut by the output limit),
`user_rejected` (voted down on the same day). Reasons therefore add up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.lake import schema
from llmops_jobs.signals import attempts, votes
from llmops_jobs.signals.families import family
from llmops_jobs.signals.settings import SignalSettings

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables

WASTE_REASONS: Final = ("schema_invalid", "failed", "superseded", "truncated", "user_rejected")
TRUNCATED: Final = ("length", "max_tokens", "max_output_tokens", "model_context_window_exceeded")
# Keys under which instrumentations say which attempt a call is; those of the second count from 0.
_ATTEMPT: Final = ("attempt", "attempt_number", "llm.attempt")
_RETRY: Final = ("retry", "retry_count", "retry_attempt", "retries", "llm.retry_count")
_CALL: Final = ("logical_call_id", "request_group_id", "idempotency_key")
_SAYS_ATTEMPT: Final = re.compile("attempt|retr|logical_call|request_group|idempotency")


def compute(
    engine: Engine, lake: Lake, project: str, days: Sequence[date], settings: SignalSettings
) -> Iterator[tuple[date, pa.Table]]:
    """Each day's rows of the lake's `outcomes`, from its observations, costs, scores and text."""
    calls = engine.run(_calls, lake, project, days)
    explicit = engine.run(_explicit, lake, project, days).to_pandas()
    scores = lake.read_days("scores", project, days).to_pandas()
    down = scores[votes.polarity(scores, settings.feedback) < 0]
    down = down[down["source"] != "EVAL"]
    for day in days:
        mine = calls.filter(pc.equal(calls["day"], pa.scalar(day, pa.date32())))
        rows = of_day(
            mine,
            explicit[explicit["day"] == day],
            down[down["day"] == day],
            settings.retry_gap_seconds,
        )
        yield day, rows


def of_day(
    calls: pa.Table, explicit: pd.DataFrame, rejections: pd.DataFrame, gap: float
) -> pa.Table:
    """The outcomes of one day's calls. `explicit` holds what metadata says about attempts,
    `rejections` the negative votes."""
    frame = calls.select(
        ["trace_id", "observation_id", "parent_observation_id", "name", "model", "start_time",
         "end_time", "level", "status_message", "finish_reason"]
    ).to_pandas()  # fmt: skip
    failed = (frame["level"] == "ERROR").to_numpy()
    kind = np.full(len(frame), "", object)
    family_id = kind.copy()
    found = [
        family(message, reason)
        for message, reason in zip(
            frame.loc[failed, "status_message"], frame.loc[failed, "finish_reason"], strict=True
        )
    ]
    kind[failed] = [each.error_type for each in found]
    family_id[failed] = [each.id for each in found]

    grouped = attempts.group(_with_explicit(frame, explicit), gap)
    reason = np.select(
        [
            kind == "schema_invalid",
            failed,
            ~grouped["is_final"].to_numpy(),
            frame["finish_reason"].str.lower().isin(TRUNCATED).to_numpy(),
            _rejected(frame, rejections),
        ],
        list(WASTE_REASONS),
        "",
    )
    wasted = pc.if_else(pa.array(reason != ""), calls["cost_usd"], pa.scalar(0, schema.USD))
    return pa.table(
        {
            "trace_id": calls["trace_id"],
            "observation_id": calls["observation_id"],
            "error_type": pa.array(kind, pa.string()),
            "family_id": pa.array(family_id, pa.string()),
            "logical_call_id": pa.array(grouped["logical_call_id"], pa.string()),
            "attempt": pa.array(grouped["attempt"], pa.int32()),
            "attempts": pa.array(grouped["attempts"], pa.int32()),
            "is_final": pa.array(grouped["is_final"], pa.bool_()),
            "waste_reason": pa.array(reason, pa.string()),
            "wasted_usd": wasted,
        }
    )


def _calls(t: Tables) -> ir.Table:
    o = t["observations"]
    o = o.filter(o.is_model_call)
    cost = t["costs"].select("day", "trace_id", "observation_id", "cost_usd")
    return o.left_join(cost, ["day", "trace_id", "observation_id"]).select(
        "day", "trace_id", "observation_id", "parent_observation_id", "name", "model",
        "start_time", "end_time", "level", "status_message", "finish_reason", "cost_usd",
    )  # fmt: skip


def _explicit(t: Tables) -> ir.Table:
    """Metadata and model parameters that may say which attempt a call is."""
    text = t["observation_text"]
    o = t["observations"]
    key = ["day", "trace_id", "observation_id"]
    by_text = text.select(*key, said=text.metadata)
    by_parameters = o.filter(o.is_model_call).select(*key, said=o.model_parameters)
    both = by_text.union(by_parameters)
    return both.filter(both.said.re_search(_SAYS_ATTEMPT.pattern))


def _with_explicit(frame: pd.DataFrame, explicit: pd.DataFrame) -> pd.DataFrame:
    said = pd.DataFrame(
        [_attempt(text) for text in explicit["said"]],
        columns=["explicit_attempt", "explicit_call"],
        index=explicit.index,
    )
    said = explicit[["trace_id", "observation_id"]].join(said)
    said = said[said["explicit_attempt"].notna() | (said["explicit_call"] != "")]
    said = said.drop_duplicates(["trace_id", "observation_id"])
    if said.empty:
        return frame.assign(explicit_attempt=np.nan, explicit_call="")
    merged = frame.merge(said, on=["trace_id", "observation_id"], how="left", validate="m:1")
    merged["explicit_call"] = merged["explicit_call"].fillna("")
    return merged


def _attempt(text: str) -> tuple[float, str]:
    """(attempt from 1 or NaN, logical call or '') that a JSON object states at its top level."""
    try:
        stated = orjson.loads(text)
    except orjson.JSONDecodeError:
        return np.nan, ""
    if not isinstance(stated, dict):
        return np.nan, ""
    number = np.nan
    for keys, offset in ((_ATTEMPT, 0), (_RETRY, 1)):
        for key in keys:
            value = str(stated.get(key, "")).strip('"')
            if value.isdecimal() and int(value) + offset >= 1 and np.isnan(number):
                number = float(int(value) + offset)
    call = next((str(stated[key]) for key in _CALL if stated.get(key)), "")
    return number, call


def _rejected(frame: pd.DataFrame, rejections: pd.DataFrame) -> np.ndarray:
    """Calls voted down themselves, or whose whole trace was."""
    kind = rejections["subject_kind"]
    traces = set(rejections.loc[kind == "trace", "trace_id"])
    calls = rejections.loc[kind == "observation", ["trace_id", "observation_id"]]
    pairs = set(calls.itertuples(index=False, name=None))
    own = [pair in pairs for pair in zip(frame["trace_id"], frame["observation_id"], strict=True)]
    return frame["trace_id"].isin(traces).to_numpy() | np.array(own, bool)
