"""Attempts of one logical call: which calls are retries of which.

Tracing has no marker for a retry. Where the instrumentation says which attempt a call is, that is
taken; otherwise a call retries an earlier one when both have the same trace, parent and name, the
earlier one ended in an error, and the later one starts after that end and within `gap` seconds.
Of several open failures the one that ended first is taken, preferably of the same model, so that
parallel calls keep their own retries. A later call of another model is a fallback: an attempt too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

#: What a frame of calls needs for grouping. Times are aware; `explicit_attempt` counts from 1 and
#: is null when unknown, `explicit_call` is '' when unknown.
NEEDED: Final = (
    "trace_id", "observation_id", "parent_observation_id", "name", "model", "start_time",
    "end_time", "level", "explicit_attempt", "explicit_call",
)  # fmt: skip


def group(calls: pd.DataFrame, gap: float) -> pd.DataFrame:
    """`logical_call_id` (the first attempt's observation), `attempt`, `attempts` and `is_final` of
    each call, by position.

    Only groups with a failure or an explicit attempt are walked; every other call is its own.
    """
    ids = calls["observation_id"].to_numpy(object)
    chain, attempt = ids.copy(), np.ones(len(calls), np.int32)
    keys = ["trace_id", "parent_observation_id", "name"]
    candidate = (
        (calls["level"] == "ERROR")
        | calls["explicit_attempt"].notna()
        | (calls["explicit_call"] != "")
    )
    if candidate.any():
        suspects = calls.loc[candidate, keys].drop_duplicates()
        position = pd.Series(np.arange(len(calls)), index=calls.index, name="position")
        subset = calls[list(NEEDED)].join(position).merge(suspects, on=keys)
        subset = subset.sort_values(["start_time", "observation_id"])
        for _, rows in subset.groupby(keys, sort=False):
            for place, first, number in _walk(rows.to_dict("records"), gap):
                chain[place], attempt[place] = first, number
    # An observation id is unique within its trace only.
    result = pd.DataFrame(
        {"trace_id": calls["trace_id"].to_numpy(), "logical_call_id": chain, "attempt": attempt}
    )
    attempts = result.groupby(["trace_id", "logical_call_id"], sort=False)["attempt"]
    result["attempts"] = attempts.transform("size").astype(np.int32)
    result["is_final"] = result["attempt"] == attempts.transform("max")
    return result.drop(columns="trace_id")


@dataclass
class _Chain:
    first: str
    model: str
    ended: Any = None
    failed: bool = False
    length: int = field(default=0)

    def add(self, row: Mapping[str, Any]) -> int:
        self.length += 1
        self.ended = row["end_time"] if not pd.isna(row["end_time"]) else row["start_time"]
        self.failed = row["level"] == "ERROR"
        return self.length


def _walk(rows: Sequence[Mapping[str, Any]], gap: float) -> list[tuple[int, str, int]]:
    """(position, first attempt's id, attempt) of the calls of one group, in order of start."""
    chains: list[_Chain] = []
    named: dict[str, _Chain] = {}
    found = []
    for row in rows:
        chain = _continues(row, chains, named, gap)
        if chain is None:
            chain = _Chain(row["observation_id"], row["model"])
            chains.append(chain)
        if row["explicit_call"]:
            named.setdefault(row["explicit_call"], chain)
        found.append((row["position"], chain.first, chain.add(row)))
    return found


def _continues(
    row: Mapping[str, Any], chains: Sequence[_Chain], named: Mapping[str, _Chain], gap: float
) -> _Chain | None:
    """The logical call that this call is a further attempt of."""
    if row["explicit_call"]:
        return named.get(row["explicit_call"])
    number = row["explicit_attempt"]
    if not pd.isna(number):
        waiting = [chain for chain in chains if chain.length == int(number) - 1]
        return waiting[-1] if number > 1 and waiting else None
    open_failures = [
        chain
        for chain in chains
        if chain.failed and 0 <= (row["start_time"] - chain.ended).total_seconds() <= gap
    ]
    return min(
        open_failures, key=lambda chain: (chain.model != row["model"], chain.ended), default=None
    )
