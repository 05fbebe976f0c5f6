"""One day before it is written out: the arrays, the ids and the numbers that texts are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from llmops_jobs.demo.replay import calls, traffic
from llmops_jobs.demo.replay.events import Active, active_on
from llmops_jobs.demo.replay.measured import level
from llmops_jobs.demo.replay.observations import Observations

DRAWS = 8
DAY_MS = traffic.DAY_MS


@dataclass(frozen=True)
class Plan:
    """What happens on a day. Everything in it follows from the seed and the days to the last."""

    day: date
    ago: int  # days to the last day of the replay
    event: Active
    requests: traffic.Requests
    observations: Observations
    trace_ids: list[str]
    observation_ids: list[str]
    text_draws: np.ndarray  # (requests, DRAWS)
    row_draws: np.ndarray  # (observations,)
    seed: int

    def generator(self, stream: int) -> np.random.Generator:
        """A generator of its own for one purpose."""
        return np.random.default_rng([self.seed, self.ago, stream])


def make(seed: int, day: date, last_day: date, requests_per_day: float, enabled: bool) -> Plan:
    ago = (last_day - day).days
    event = active_on(ago, enabled)
    rng = np.random.default_rng([seed, ago, 0])
    fixed = np.random.default_rng([seed, 2**31])
    requests = traffic.draw(rng, fixed, requests_per_day * level(day, last_day), event)
    observations = calls.draw(rng, requests, event)
    return Plan(
        day=day,
        ago=ago,
        event=event,
        requests=requests,
        observations=observations,
        trace_ids=_ids(rng, len(requests), 16),
        observation_ids=_ids(rng, len(observations), 8),
        text_draws=rng.integers(0, 2**30, (len(requests), DRAWS)),
        row_draws=rng.integers(0, 2**30, len(observations)),
        seed=seed,
    )


def _ids(rng: np.random.Generator, count: int, size: int) -> list[str]:
    digits = rng.bytes(count * size).hex()
    return [digits[at : at + 2 * size] for at in range(0, len(digits), 2 * size)]
