"""The observations of a day, in time: calls, what lies around them, and when each begins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay import attempts, failures, speed
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.failures import Failure
from llmops_jobs.demo.replay.measured import Floats, Ints
from llmops_jobs.demo.replay.observations import Observations, Role, pad, with_roots
from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.traffic import Requests


def draw(rng: np.random.Generator, requests: Requests, event: Active) -> Observations:
    """Every observation of the requests."""
    calls = attempts.draw(rng, requests, event)
    model = requests.model[calls.request]
    streams = np.array([f.streams for f in app.FEATURES])[requests.feature[calls.request]]
    first, took = speed.of_calls(rng, model, calls.tokens, event)
    failed = ~np.isin(calls.failure, failures.ANSWERED)
    took = np.where(failed, failures.duration_ms(rng, calls.failure), took)
    first = np.where(streams & ~failed, first, -1)
    wait = np.where(calls.attempt > 0, speed.backoff_ms(rng, calls.attempt), 0)

    own = (np.full(len(model), Role.CALL), calls.request, calls.step, wait, took)
    parts: list[tuple[Ints, ...]] = [own, *_around(rng, requests, calls)]
    role, request, step, gap, took_ms = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    attempt = pad(calls.attempt, len(role), 0)
    order = np.lexsort((attempt, role, step, request))
    is_call = order < len(model)
    source = np.where(is_call, order, 0)

    request, role, step = request[order], role[order], step[order]
    start = _offsets(request, gap[order] + took_ms[order]) + gap[order]
    start += requests.start_ms[request]
    end = start + took_ms[order]
    failure = np.where(is_call, calls.failure[source], 0)
    failure = _other_failures(rng, requests, request, role, failure)
    return with_roots(
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


def _around(
    rng: np.random.Generator, requests: Requests, calls: attempts.Calls
) -> Iterator[tuple[Ints, ...]]:
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


def _part(role: Role, request: Ints, step: Ints | int, took: Floats) -> tuple[Ints, ...]:
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
) -> Ints:
    """Failures of tools and of the check behind an extraction."""
    failing = (role == Role.TOOL) & (rng.random(len(role)) < 0.035)
    failure = np.where(failing, Failure.TOOL, failure)
    check, defect = role == Role.CHECK, requests.defect[request]
    failure = np.where(check & (defect == Defect.MISSING_FIELD), Failure.SCHEMA, failure)
    return np.where(check & (defect == Defect.INVALID_JSON), Failure.NOT_JSON, failure)


def _offsets(request: Ints, lasting: Floats) -> Floats:
    """Start of every part after its request's start: what lies before it, summed per request."""
    ends = np.cumsum(lasting)
    starts = ends - lasting
    first = np.flatnonzero(np.append(True, request[1:] != request[:-1]))
    sizes = np.diff(np.append(first, len(request)))
    return starts - np.repeat(starts[first], sizes)
