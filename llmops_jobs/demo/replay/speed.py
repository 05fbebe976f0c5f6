"""How long things take: first token, tokens per second, tools, waits between attempts."""

from __future__ import annotations

import numpy as np

from llmops_jobs.demo.replay.catalogue import CODE, MODELS, SWAPPED
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.measured import Floats, Ints
from llmops_jobs.demo.replay.usage import Tokens

SLOWDOWN = 2.5
MINUTE_MS = 60_000


def of_calls(
    rng: np.random.Generator, model: Ints, tokens: Tokens, event: Active
) -> tuple[Floats, Floats]:
    """Milliseconds to the first token and in total, for calls that succeed.

    Reasoned tokens come before the first visible one; a long prompt that is not cached delays it.
    """
    first = np.array([m.first_token_s for m in MODELS])
    rate = np.array([m.tokens_per_s or 1 for m in MODELS], float)
    if event("model-swap"):
        alias = CODE["gemini-flash-latest"]
        first[alias], rate[alias] = SWAPPED.first_token_s, SWAPPED.tokens_per_s
    if event("latency-regression"):
        first[CODE["gpt-5-mini"]] *= SLOWDOWN
    size = len(model)
    prompt = (tokens.input - tokens.cache_read) / 25_000
    speed = rate[model] * rng.lognormal(0, 0.25, size)
    thinking = tokens.reasoning / speed * 0.35
    wait = (first[model] + prompt) * rng.lognormal(0, 0.4, size) + thinking
    visible = (tokens.output - tokens.reasoning) / speed
    # One call in two hundred stalls.
    wait *= np.where(rng.random(size) < 0.005, 6, 1)
    return wait * 1000, (wait + visible) * 1000 + 2


def backoff_ms(rng: np.random.Generator, attempt: Ints) -> Floats:
    """Exponential with full jitter, from one second."""
    return 500 + 1000 * 2.0 ** np.maximum(attempt - 1, 0) * rng.random(len(attempt))


def tool_ms(rng: np.random.Generator, runaway: Ints) -> Floats:
    """Tools are quick, but one in thirty waits for a job of minutes to hours."""
    size = len(runaway)
    quick = rng.lognormal(np.log(450), 0.8, size)
    slow = rng.lognormal(np.log(25 * MINUTE_MS), 0.8, size).clip(max=180 * MINUTE_MS)
    return np.where((rng.random(size) < 1 / 30) & (runaway == 0), slow, quick)
