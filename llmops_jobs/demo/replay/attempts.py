"""The model calls of a day and their attempts: how many steps, which fail, which are retried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay import failures, usage
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.measured import Ints, measured
from llmops_jobs.demo.replay.traffic import Requests


@dataclass(frozen=True)
class Calls:
    """One row per attempt of a model call, in order of request, step and attempt."""

    request: Ints
    step: Ints
    attempt: Ints
    failure: Ints
    last_step: Ints
    tokens: usage.Tokens


def draw(rng: np.random.Generator, requests: Requests, event: Active) -> Calls:
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
            requests.feature[request[open_calls]],
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
    ends_at = steps - 1
    lost = is_last & (failure > 0)
    np.minimum.at(ends_at, request[row[lost]], step[row[lost]])
    kept = step[row] <= ends_at[request[row]]
    row, number, failure = row[kept], number[kept], failure[kept]
    return Calls(
        request=request[row],
        step=step[row],
        attempt=number,
        failure=failure,
        last_step=(step[row] == ends_at[request[row]]).astype(np.int64),
        tokens=tokens.take(row).where(np.isin(failure, failures.ANSWERED)),
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
