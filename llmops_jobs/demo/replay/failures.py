"""Calls that fail: how often, of which kind, and what the error says."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay.catalogue import CODE, MODELS
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.measured import Floats, Ints

HOUR_MS: Final = 3_600_000


class Failure(IntEnum):
    NONE = 0
    RATE_LIMIT = 1
    TIMEOUT = 2
    SERVER = 3
    CONTEXT_LENGTH = 4
    CONTENT_FILTER = 5
    AUTH = 6
    BAD_REQUEST = 7
    TOOL = 8  # of tools, not of model calls
    SCHEMA = 9  # the answer lacks a field
    REJECTED_TOOL = 10  # the new error family
    NOT_JSON = 11  # the answer is not JSON


RETRYABLE: Final = (Failure.RATE_LIMIT, Failure.TIMEOUT, Failure.SERVER, Failure.SCHEMA)
# Found when the answer is there already: it has been paid for.
ANSWERED: Final = (Failure.NONE, Failure.SCHEMA, Failure.NOT_JSON)
MAX_ATTEMPTS: Final = 4
GIVES_UP: Final = 0.08  # share of clients that do not retry
STORM_HOURS: Final = (13.0, 18.0)
OUTAGE_HOURS: Final = (9 + 20 / 60, 11 + 50 / 60)

# Rates per attempt of an ordinary hour.
RATES: Final = {
    Failure.RATE_LIMIT: 0.009,
    Failure.TIMEOUT: 0.004,
    Failure.SERVER: 0.006,
    Failure.CONTENT_FILTER: 0.002,
    Failure.AUTH: 0.0004,
    Failure.BAD_REQUEST: 0.0015,
}
_PROVIDER = np.array([model.provider for model in MODELS])
# The in-house model has nobody who limits its rate, but fewer machines.
_LIMITS = np.where(_PROVIDER == "self-hosted", 0.0, 1.0)
_SERVER = np.where(_PROVIDER == "self-hosted", 2.0, 1.0)
# Context windows of the small models, at which long documents fail.
_WINDOW = np.full(len(MODELS), 1_000_000)
_WINDOW[CODE["llama-3.3-70b-versatile"]] = 100_000
_WINDOW[CODE["mistral-small-latest"]] = 120_000


def draw(
    rng: np.random.Generator,
    feature: Ints,
    model: Ints,
    at_ms: Ints,
    tokens: Ints,
    before: Ints | None,
    event: Active,
) -> Ints:
    """The failure of every call's attempt. before: that of its attempt before, if it is not the
    first."""
    rates = np.zeros((len(model), len(Failure)))
    for failure, rate in RATES.items():
        rates[:, failure] = rate
    rates[:, Failure.RATE_LIMIT] *= _LIMITS[model]
    rates[:, Failure.SERVER] *= _SERVER[model]
    # The client of the in-house model checks the fields itself, and asks again.
    rates[(feature == app.EXTRACT) & (_PROVIDER[model] == "self-hosted"), Failure.SCHEMA] = 0.06
    if event("new-error-family"):
        rates[feature == app.AGENT, Failure.REJECTED_TOOL] = 0.08
    if before is not None:
        # What made a call fail has often not passed when it is tried again.
        rates[np.arange(len(model)), before] = 0.15
    if event("retry-storm"):
        hit = (_PROVIDER[model] == "openai") & _within(at_ms, STORM_HOURS)
        rates[hit, Failure.RATE_LIMIT] = 0.5
    if event("outage"):
        hit = (_PROVIDER[model] == "gcp.gemini") & _within(at_ms, OUTAGE_HOURS)
        rates[hit] = 0
        rates[hit, Failure.SERVER] = 0.97
    rates[:, Failure.NONE] = 1 - rates.sum(axis=1)
    cdf = np.cumsum(rates, axis=1)
    found = (rng.random(len(model))[:, None] > cdf).sum(axis=1).clip(max=len(Failure) - 1)
    found[tokens > _WINDOW[model]] = Failure.CONTEXT_LENGTH
    return found


def retried(rng: np.random.Generator, failure: Ints) -> Ints:
    """Which of the failed attempts are followed by another one."""
    return np.isin(failure, RETRYABLE) & (rng.random(len(failure)) > GIVES_UP)


def duration_ms(rng: np.random.Generator, failure: Ints) -> Floats:
    """How long an attempt takes until it fails, by its kind."""
    median = np.array([0, 180, 60_000, 2400, 350, 900, 120, 150, 1500, 5, 700, 5], float)
    spread = np.array([0, 0.5, 0.002, 0.8, 0.4, 0.4, 0.3, 0.3, 0.7, 0.4, 0.3, 0.4])
    values = median[failure] * np.exp(spread[failure] * rng.standard_normal(len(failure)))
    # Half of the clients wait 30 seconds, not 60.
    halved = (failure == Failure.TIMEOUT) & (rng.random(len(failure)) < 0.5)
    return np.where(halved, values / 2, values)


def _within(at_ms: Ints, hours: tuple[float, float]) -> Ints:
    return (at_ms >= hours[0] * HOUR_MS) & (at_ms < hours[1] * HOUR_MS)
