"""The bundled measurements, and draws from them.

`measured.npz` is written by `llmops_jobs.demo.data.derive`, which says what each array is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources

import numpy as np

Ints = np.ndarray
Floats = np.ndarray

# Slower than the measured 1.1 % a day, at which 60 days would nearly double the traffic.
DAILY_GROWTH = 0.003
# Days before the last at which the level is one. Late enough that the model calls of the quietest
# Sunday of 60 days are not fewer than the requests asked for.
PIVOT = 48


@dataclass(frozen=True)
class Measured:
    chat_lengths: Ints  # (rows, 2): input and output tokens of one request
    document_lengths: Ints
    hour_arrivals: Ints  # (2, 720): arrivals in five-second bins of an hour
    tenant_shares: Floats
    tenant_hours: Floats  # (tenants, 24), mean 1
    level_index: Floats  # days from a Monday on, against the four-week trend
    level_daily_growth: Floats
    model_rank_shares: Floats
    model_share_moves: Floats  # standard deviation of a day's change of a log share
    reasoning_openai_share: Floats  # quantiles 0, 5, ... 100 %
    reasoning_google_share: Floats
    cached_openai_share: Floats
    cached_anthropic_share: Floats
    agent_generations: Ints


@cache
def measured() -> Measured:
    source = resources.files("llmops_jobs.demo.data") / "measured.npz"
    with resources.as_file(source) as path, np.load(path) as arrays:
        return Measured(**{name: arrays[name] for name in arrays.files})


def level(day: date, last_day: date) -> float:
    """Traffic of a day against the replay's mean: season and noise as measured, slow growth.

    The measured index is laid backwards from the week of the last day, so that a Sunday is a
    Sunday, and repeats after 26 weeks.
    """
    index = measured().level_index
    monday = day - timedelta(days=day.weekday())
    weeks_ago = (last_day - timedelta(days=last_day.weekday()) - monday).days // 7
    position = (day.weekday() - 7 * (weeks_ago + 1)) % len(index)
    ago = (last_day - day).days
    return float(index[position] * np.exp(DAILY_GROWTH * (PIVOT - ago)))


def lengths(rng: np.random.Generator, table: Ints, size: int) -> tuple[Ints, Ints]:
    """Input and output tokens of `size` requests: real pairs, moved by a few per cent."""
    pairs = table[rng.integers(0, len(table), size)].astype(float)
    moved = np.maximum(1, np.rint(pairs * rng.lognormal(0, 0.03, pairs.shape))).astype(np.int64)
    return moved[:, 0], moved[:, 1]


def arrivals(rng: np.random.Generator, tenants: Ints) -> Ints:
    """Milliseconds into the day: the hour by the tenant's own profile, bursts as in a real hour."""
    data = measured()
    hours_cdf = np.cumsum(data.tenant_hours, axis=1)
    hours_cdf /= hours_cdf[:, -1:]
    hours = (rng.random(len(tenants))[:, None] > hours_cdf[tenants]).sum(axis=1).clip(max=23)
    bursts = np.cumsum(data.hour_arrivals, axis=1) / data.hour_arrivals.sum(axis=1, keepdims=True)
    shift = rng.integers(0, 3600, 24)
    draw = rng.random(len(tenants))
    bins = np.where(
        hours % 2 == 0, np.searchsorted(bursts[0], draw), np.searchsorted(bursts[1], draw)
    ).clip(max=719)
    seconds = (bins * 5 + rng.random(len(tenants)) * 5 + shift[hours]) % 3600
    return (hours * 3_600_000 + seconds * 1000).astype(np.int64)


def by_quantiles(rng: np.random.Generator, quantiles: Floats, size: int) -> Floats:
    """Values whose distribution has these evenly spaced quantiles."""
    return np.interp(rng.random(size), np.linspace(0, 1, len(quantiles)), quantiles)


def pick(rng: np.random.Generator, weights: Floats, size: int) -> Ints:
    """Indices drawn in proportion to the weights."""
    cdf = np.cumsum(weights, dtype=float)
    return np.searchsorted(cdf, rng.random(size) * cdf[-1], side="right").clip(max=len(cdf) - 1)
