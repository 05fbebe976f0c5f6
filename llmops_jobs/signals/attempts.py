"""Attempts of one logical call: which calls are retries of which.

Tracing has no marker for a retry. Where the instrumentation says which attempt a call is, or of
which logical call, that is taken: the latter across parents as well. Otherwise a call retries an
earlier one when both have the same trace, parent and name, the earlier one ended in an error, and
the later one starts after that end and within `gap` seconds. Of several open failures the one that
ended first is taken, preferably of the same model, so that parallel calls keep their own retries.
A later call of another model is a fallback: an attempt too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Call(NamedTuple):
    """One model call. Times in microseconds; `said_attempt` (from 1) and `said_call` are what the
    instrumentation states, 0 and '' when it does not."""

    day: object
    trace_id: str
    parent_observation_id: str
    name: str
    observation_id: str
    model: str
    start: int
    end: int
    failed: bool
    said_attempt: int = 0
    said_call: str = ""


class Attempt(NamedTuple):
    """`logical_call_id` is the observation of the first attempt."""

    logical_call_id: str
    attempt: int
    attempts: int
    is_final: bool


@dataclass
class _Chain:
    first: Call
    last: Call
    places: list[int] = field(default_factory=list)


def group(calls: Sequence[Call], gap: float) -> list[Attempt]:
    """The attempt that each of the calls is, in their order."""
    groups = [_group(call) for call in calls]
    order = sorted(
        range(len(calls)),
        key=lambda place: (groups[place], calls[place].start, calls[place].observation_id),
    )
    found: list[Attempt] = [Attempt("", 1, 1, True)] * len(calls)
    chains: list[_Chain] = []
    previous: tuple[str, ...] | None = None
    for place in order:
        call = calls[place]
        if groups[place] != previous:
            _settle(chains, found)
            chains = []
        previous = groups[place]
        chain = _continues(call, chains, gap * 1e6)
        if chain is None:
            chain = _Chain(call, call)
            chains.append(chain)
        chain.last = call
        chain.places.append(place)
    _settle(chains, found)
    return found


def _group(call: Call) -> tuple[str, ...]:
    """Calls among which the attempts of one logical call are: siblings of a name, or, wherever
    they stand in the trace, those that are stated to be of one call."""
    if call.said_call:
        return (str(call.day), call.trace_id, "", "", call.said_call)
    return (str(call.day), call.trace_id, call.parent_observation_id, call.name, "")


def _settle(chains: Iterable[_Chain], found: list[Attempt]) -> None:
    for chain in chains:
        length = len(chain.places)
        for number, place in enumerate(chain.places, 1):
            found[place] = Attempt(chain.first.observation_id, number, length, number == length)


def _continues(call: Call, chains: Sequence[_Chain], gap: float) -> _Chain | None:
    """The logical call that this call is a further attempt of."""
    if call.said_call:
        return next((c for c in chains if c.first.said_call == call.said_call), None)
    if call.said_attempt:
        waiting = [c for c in chains if len(c.places) == call.said_attempt - 1]
        return waiting[-1] if waiting else None
    open_failures = [c for c in chains if c.last.failed and 0 <= call.start - c.last.end <= gap]
    return min(open_failures, key=lambda c: (c.last.model != call.model, c.last.end), default=None)
