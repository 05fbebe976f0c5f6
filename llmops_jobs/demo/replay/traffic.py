"""The requests of a day: who asks for what, when, in which language, answered how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay import quality
from llmops_jobs.demo.replay.catalogue import CODE
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.measured import Ints, arrivals, measured, pick
from llmops_jobs.demo.replay.text.handbook import LEAK, SECURITY

RUNAWAY_TRACES = 12
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Requests:
    """One row per trace; every field is an array of the same length."""

    feature: Ints
    tenant: Ints
    user: Ints  # within the tenant; -1 for none
    start_ms: Ints  # into the day
    environment: Ints
    language: Ints
    topic: Ints
    model: Ints
    prompt_version: Ints  # 0 for none
    runaway: Ints  # 1 for the loops of the spend spike
    defect: Ints  # quality.Defect
    target: Ints  # the request that a judge rates; -1 for all others

    def __len__(self) -> int:
        return len(self.feature)


def draw(
    rng: np.random.Generator, fixed: np.random.Generator, volume: float, event: Active
) -> Requests:
    """The requests of one day.

    volume: the expected number of requests by the product's users. fixed: a generator that is the
    same on every day, for what does not change from day to day.
    """
    feature, tenant, runaway = _who(rng, fixed, volume, event)
    size = len(feature)
    judged = feature == app.JUDGE
    environment = np.where(
        rng.random(size) < app.STAGING_SHARE, app.STAGING, app.PRODUCTION
    ).astype(np.int64)
    environment[judged] = app.JUDGING
    environment[runaway == 1] = app.PRODUCTION
    language = pick(rng, np.array(app.LANGUAGE_SHARES), size)
    topic = _topics(rng, feature, event)
    model = _models(rng, feature, event)
    version = _versions(rng, feature, environment, event)
    batch = judged | (feature == app.EMBED)
    start_ms = arrivals(rng, tenant)
    target = _targets(rng, feature)
    # The judge looks at an answer a minute after it was given.
    start_ms[judged] = np.minimum(start_ms[target[judged]] + 60_000, DAY_MS - 5_000)
    return Requests(
        feature=feature,
        tenant=tenant,
        user=np.where(batch, -1, _users(rng, tenant)),
        start_ms=start_ms,
        environment=environment,
        language=language,
        topic=topic,
        model=model,
        prompt_version=version,
        runaway=runaway,
        defect=quality.draw(rng, feature, model, version, language, event),
        target=target,
    )


def _targets(rng: np.random.Generator, feature: Ints) -> Ints:
    """A random answer of chat or search for every judge; -1 where there is none or no judge."""
    target = np.full(len(feature), -1)
    rated = np.flatnonzero(np.isin(feature, (app.CHAT, app.RAG)))
    judges = np.flatnonzero(feature == app.JUDGE)
    if len(judges) and len(rated):
        # No answer is judged twice, unless there are fewer answers than judges.
        target[judges] = np.resize(rng.permutation(rated), len(judges))
    return target


def _who(
    rng: np.random.Generator, fixed: np.random.Generator, volume: float, event: Active
) -> tuple[Ints, Ints, Ints]:
    """Feature, tenant and the mark of a runaway for every request."""
    shares = measured().tenant_shares
    tenants, features = len(shares), len(app.FEATURES)
    # Every tenant has its own taste in features; the whole keeps the features' weights.
    taste = fixed.lognormal(0, 0.5, (tenants, features))
    weights = np.array([f.weight for f in app.FEATURES])
    expected = shares[:, None] * weights * taste
    expected *= weights / expected.sum(axis=0) * volume
    if event("topic-shift"):
        expected[:, app.CHAT] *= 1.4
    # Daily shares of tenants wander.
    expected *= rng.lognormal(0, 0.06, (tenants, 1))
    counts = rng.poisson(expected).ravel()
    counts[app.CHAT] += counts.sum() == 0  # no day without traffic
    cells = np.repeat(np.arange(counts.size), counts)
    feature, tenant = cells % features, cells // features
    runaway = np.zeros(len(cells), np.int64)
    if event("spend-spike"):
        loops = max(2, round(RUNAWAY_TRACES * volume / 2000))
        feature = np.append(feature, np.full(loops, app.AGENT))
        tenant = np.append(tenant, np.full(loops, app.RUNAWAY))
        runaway = np.append(runaway, np.ones(loops, np.int64))
    return feature, tenant, runaway


def _users(rng: np.random.Generator, tenant: Ints) -> Ints:
    """Users within the tenant: as many as its size gives, a few of them heavy."""
    shares = measured().tenant_shares
    population = np.maximum(6, (shares * 700).astype(int))[tenant]
    # An inverse power of a uniform gives ranks with a heavy head.
    rank = population ** (rng.random(len(tenant)) ** 1.4) - 1
    return np.minimum(rank.astype(np.int64), population - 1)


def _topics(rng: np.random.Generator, feature: Ints, event: Active) -> Ints:
    weights = np.array([0.2, 0.18, 0.15, 0.1, 0.11, 0.1, 0.09, 0.07])
    topic = pick(rng, weights, len(feature))
    if event("topic-shift"):
        drawn, chat = rng.random(len(feature)), feature == app.CHAT
        topic[chat & (drawn < 0.6)] = SECURITY
        topic[chat & (drawn < 0.5)] = LEAK
    return topic


def _models(rng: np.random.Generator, feature: Ints, event: Active) -> Ints:
    """By the measured share of each rank, which moves a little from day to day."""
    ranks = measured().model_rank_shares
    move = float(measured().model_share_moves) / 2
    model = np.empty(len(feature), np.int64)
    for code, choices in enumerate(app.MODEL_CODES):
        mine = feature == code
        shares = ranks[: len(choices)] * rng.lognormal(0, move, len(choices))
        if CODE["aurora-1-preview"] in choices:
            shares[choices.index(CODE["aurora-1-preview"])] = 0
            shares = shares / shares.sum()
            if event("unpriced-model"):
                shares[choices.index(CODE["aurora-1-preview"])] = 1 / 9
        model[mine] = np.array(choices)[pick(rng, shares, int(mine.sum()))]
    return model


def _versions(rng: np.random.Generator, feature: Ints, environment: Ints, event: Active) -> Ints:
    version = np.zeros(len(feature), np.int64)
    for code in range(len(app.FEATURES)):
        mine = feature == code
        versions, shares = app.rollout(code, event)
        version[mine] = np.array(versions)[pick(rng, np.array(shares), int(mine.sum()))]
    # Staging tries the next version of one prompt long before production does.
    ahead = (feature == app.SUMMARISE) & (environment == app.STAGING)
    version[ahead] = 3
    return version
