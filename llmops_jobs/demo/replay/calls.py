"""The observations of a day: every step of every trace, its attempts, times and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay import failures, speed, usage
from llmops_jobs.demo.replay.catalogue import CODE
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.failures import Failure
from llmops_jobs.demo.replay.measured import Ints, measured
from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.traffic import Requests


class Role(IntEnum):
    """What an observation is in its trace; the order is that of a step's parts in time."""

    ROOT = 0
    AGENT = 1
    EMBED = 2
    RETRIEVE = 3
    CALL = 4
    TOOL = 5
    CHECK = 6


@dataclass(frozen=True)
class Observations:
    """One row per observation; arrays of the same length. Times are milliseconds into the day."""

    request: Ints
    role: Ints
    parent: Ints  # row in this table, -1 for none
    step: Ints
    attempt: Ints
    failure: Ints
    last_step: Ints  # 1 for the attempts of a trace's last step
    start_ms: Ints
    end_ms: Ints
    first_token_ms: Ints  # -1 when the call does not stream
    model: Ints  # -1 for none
    tokens: usage.Tokens

    def __len__(self) -> int:
        return len(self.request)


@dataclass(frozen=True)
class _Calls:
    """One row per attempt of a model call, in order of request, step and attempt."""

    request: Ints
    step: Ints
    attempt: Ints
    failure: Ints
    last_step: Ints
    tokens: usage.Tokens


def draw(rng: np.random.Generator, requests: Requests, event: Active) -> Observations:
    """Every observation of the requests."""
    calls = _attempts(rng, requests, event)
    model = requests.model[calls.request]
    streams = np.array([f.streams for f in app.FEATURES])[requests.feature[calls.request]]
    first, took = speed.of_calls(rng, model, calls.tokens, event)
    failed = calls.failure > 0
    took = np.where(failed, failures.duration_ms(rng, calls.failure), took)
    first = np.where(streams & ~failed, first, -1)
    wait = np.where(calls.attempt > 0, speed.backoff_ms(rng, calls.attempt), 0)

    parts = [(np.full(len(model), Role.CALL), calls.request, calls.step, wait, took)]
    parts += list(_around(rng, requests, calls))
    role, request, step, gap, took_ms = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    attempt = _pad(calls.attempt, len(role), 0)
    order = np.lexsort((attempt, role, step, request))
    is_call = order < len(model)
    source = np.where(is_call, order, 0)

    request, role, step = request[order], role[order], step[order]
    start = _offsets(request, gap[order] + took_ms[order]) + gap[order]
    start += requests.start_ms[request]
    end = start + took_ms[order]
    failure = np.where(is_call, calls.failure[source], 0)
    failure = _other_failures(rng, requests, request, role, failure, event)
    slow = (role == Role.TOOL) & (failure == Failure.TOOL)
    end = np.where(slow, start + failures.duration_ms(rng, failure), end)
    return _with_roots(
        requests,
        Observations(
            request=request,
            role=role,
            parent=np.full(len(role), -1),
            step=step,
            attempt=np.where(is_call, calls.attempt[source], 0),
            failure=failure,
            last_step=np.where(is_call, calls.last_step[source], 0),
            start_ms=np.rint(start).astype(np.int64),
            end_ms=np.rint(end).astype(np.int64),
            first_token_ms=np.where(
                is_call & (first[source] >= 0), np.rint(start + first[source]), -1
            ).astype(np.int64),
            model=np.where(is_call, requests.model[request], -1),
            tokens=calls.tokens.take(source).where(is_call),
        ),
    )


def _attempts(rng: np.random.Generator, requests: Requests, event: Active) -> _Calls:
    """Steps of every trace and the attempts of each; a step that fails for good ends its trace."""
    steps = _steps(rng, requests)
    request = np.repeat(np.arange(len(requests)), steps)
    step = np.arange(len(request)) - np.repeat(np.cumsum(steps) - steps, steps)
    tokens = usage.draw(rng, requests, request, step, event)
    model, at_ms = requests.model[request], requests.start_ms[request]

    open_calls, before = np.arange(len(request)), None
    rows, numbers, found = [], [], []
    for attempt in range(failures.MAX_ATTEMPTS):
        failure = failures.draw(
            rng,
            model[open_calls],
            at_ms[open_calls],
            tokens.input[open_calls],
            before,
            event,
        )
        rows.append(open_calls)
        numbers.append(np.full(len(open_calls), attempt))
        found.append(failure)
        again = failures.retried(rng, failure)
        open_calls, before = open_calls[again], failure[again]
    row, number, failure = (np.concatenate(part) for part in (rows, numbers, found))
    order = np.lexsort((number, row))
    row, number, failure = row[order], number[order], failure[order]

    is_last = np.append(row[1:] != row[:-1], True)
    ends_at = steps[:] - 1
    lost = is_last & (failure > 0)
    np.minimum.at(ends_at, request[row[lost]], step[row[lost]])
    kept = step[row] <= ends_at[request[row]]
    row, number, failure = row[kept], number[kept], failure[kept]
    return _Calls(
        request=request[row],
        step=step[row],
        attempt=number,
        failure=failure,
        last_step=(step[row] == ends_at[request[row]]).astype(np.int64),
        tokens=tokens.take(row).where(failure == 0),
    )


def _steps(rng: np.random.Generator, requests: Requests) -> Ints:
    """Model calls per trace: agents as the measured framework runs, with a geometric tail."""
    steps = np.ones(len(requests), np.int64)
    agents = requests.feature == app.AGENT
    count = int(agents.sum())
    measured_steps = rng.choice(measured().agent_generations, count).astype(np.int64)
    steps[agents] = np.minimum(np.maximum(2, measured_steps) + rng.geometric(0.6, count) - 1, 12)
    loops = requests.runaway == 1
    steps[loops] = rng.integers(30, 60, int(loops.sum()))
    return steps


def _around(rng: np.random.Generator, requests: Requests, calls: _Calls):  # type: ignore[no-untyped-def]
    """What lies around the calls: (role, request, step, gap, duration) of each kind."""
    rag = np.flatnonzero(requests.feature == app.RAG)
    embeds = rag[rng.random(len(rag)) < 0.2]
    yield _part(Role.EMBED, embeds, 0, rng.lognormal(np.log(90), 0.4, len(embeds)))
    yield _part(Role.RETRIEVE, rag, 0, rng.lognormal(np.log(140), 0.6, len(rag)))
    answered = calls.failure == 0
    feature = requests.feature[calls.request]
    uses = answered & (feature == app.AGENT) & (calls.last_step == 0)
    tools = speed.tool_ms(rng, requests.runaway[calls.request[uses]])
    yield _part(Role.TOOL, calls.request[uses], calls.step[uses], tools)
    checks = answered & (feature == app.EXTRACT)
    checks &= (rng.random(len(checks)) < 0.25) | np.isin(
        requests.defect[calls.request], (Defect.INVALID_JSON, Defect.MISSING_FIELD)
    )
    spent = rng.lognormal(np.log(4), 0.3, int(checks.sum()))
    yield _part(Role.CHECK, calls.request[checks], calls.step[checks], spent)


def _part(role: Role, request: Ints, step: Ints | int, took):  # type: ignore[no-untyped-def]
    size = len(request)
    return (
        np.full(size, role),
        request,
        np.broadcast_to(step, size),
        np.full(size, 3.0),
        took,
    )


def _other_failures(
    rng: np.random.Generator,
    requests: Requests,
    request: Ints,
    role: Ints,
    failure: Ints,
    event: Active,
) -> Ints:
    """Failures of tools and of the check behind an extraction."""
    tool = role == Role.TOOL
    draws = rng.random(len(role))
    failure = np.where(tool & (draws < 0.035), Failure.TOOL, failure)
    if event("new-error-family"):
        failure = np.where(tool & (draws > 0.88), Failure.NULL_TIER, failure)
    check, defect = role == Role.CHECK, requests.defect[request]
    failure = np.where(check & (defect == Defect.MISSING_FIELD), Failure.SCHEMA, failure)
    return np.where(check & (defect == Defect.INVALID_JSON), Failure.NOT_JSON, failure)


def _offsets(request: Ints, lasting):  # type: ignore[no-untyped-def]
    """Start of every part after its request's start: what lies before it, summed per request."""
    ends = np.cumsum(lasting)
    starts = ends - lasting
    first = np.flatnonzero(np.append(True, request[1:] != request[:-1]))
    sizes = np.diff(np.append(first, len(request)))
    return starts - np.repeat(starts[first], sizes)


def _pad(values: Ints, size: int, fill: int) -> Ints:
    return np.append(values, np.full(size - len(values), fill))


def _with_roots(requests: Requests, inner: Observations) -> Observations:
    """The same with each trace's root (and agent) on top, and every row's parent."""
    size = len(inner)
    has_root = np.array([bool(f.root) for f in app.FEATURES])[requests.feature]
    roots = np.flatnonzero(has_root)
    agents = np.flatnonzero(requests.feature == app.AGENT)
    ends = np.zeros(len(requests), np.int64)
    np.maximum.at(ends, inner.request, inner.end_ms)
    lost = np.zeros(len(requests), np.int64)
    broken = (inner.role == Role.CALL) & (inner.failure > 0) & (inner.last_step == 1)
    np.maximum.at(lost, inner.request[broken], inner.failure[broken])
    healed = (inner.role == Role.CALL) & (inner.failure == 0) & (inner.last_step == 1)
    lost[inner.request[healed]] = 0

    root_of = np.full(len(requests), -1)
    root_of[roots] = size + np.arange(len(roots))
    agent_of = np.full(len(requests), -1)
    agent_of[agents] = size + len(roots) + np.arange(len(agents))
    parent = np.where(agent_of[inner.request] >= 0, agent_of[inner.request], root_of[inner.request])
    retrieve_of = np.full(len(requests), -1)
    searching = inner.role == Role.RETRIEVE
    retrieve_of[inner.request[searching]] = np.flatnonzero(searching)
    # The embedding of the question belongs to the search, which it starts.
    embeds = inner.role == Role.EMBED
    parent[embeds] = retrieve_of[inner.request[embeds]]
    start = inner.start_ms.copy()
    start[retrieve_of[inner.request[embeds]]] = inner.start_ms[embeds] - 1

    top = np.concatenate([roots, agents])
    count = len(top)
    model = np.append(inner.model, np.full(count, -1))
    model[np.flatnonzero(inner.role == Role.EMBED)] = CODE["text-embedding-3-small"]
    return Observations(
        request=np.append(inner.request, top),
        role=np.append(inner.role, [Role.ROOT] * len(roots) + [Role.AGENT] * len(agents)),
        parent=np.concatenate([parent, np.full(len(roots), -1), root_of[agents]]),
        step=_pad(inner.step, size + count, 0),
        attempt=_pad(inner.attempt, size + count, 0),
        failure=np.append(inner.failure, lost[top]),
        last_step=_pad(inner.last_step, size + count, 0),
        start_ms=np.concatenate(
            [start, requests.start_ms[roots] - 2, requests.start_ms[agents] - 1]
        ),
        end_ms=np.concatenate([inner.end_ms, ends[roots] + 3, ends[agents] + 1]),
        first_token_ms=_pad(inner.first_token_ms, size + count, -1),
        model=model,
        tokens=usage.for_embeddings(inner.tokens, embeds, requests, inner.request).pad(count),
    )
