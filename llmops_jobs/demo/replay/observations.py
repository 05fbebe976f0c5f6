"""The table of a day's observations, and the tree that they form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay import usage
from llmops_jobs.demo.replay.catalogue import CODE
from llmops_jobs.demo.replay.measured import Ints
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


def pad(values: Ints, size: int, fill: int) -> Ints:
    return np.append(values, np.full(size - len(values), fill))


def with_roots(requests: Requests, inner: Observations) -> Observations:
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
        step=pad(inner.step, size + count, 0),
        attempt=pad(inner.attempt, size + count, 0),
        failure=np.append(inner.failure, lost[top]),
        last_step=pad(inner.last_step, size + count, 0),
        start_ms=np.concatenate(
            [start, requests.start_ms[roots] - 2, requests.start_ms[agents] - 1]
        ),
        end_ms=np.concatenate([inner.end_ms, ends[roots] + 3, ends[agents] + 1]),
        first_token_ms=pad(inner.first_token_ms, size + count, -1),
        model=model,
        tokens=usage.for_embeddings(inner.tokens, embeds, requests, inner.request).pad(count),
    )
