"""Tokens of model calls: measured lengths, split into fresh, cached, written and reasoned."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay.catalogue import MODELS
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.measured import Ints, by_quantiles, lengths, measured
from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.traffic import Requests

OUTPUT_LIMIT = 512  # of the calls that are cut off
INFLATION = 1.6
INFLATED_VERSION = 3


@dataclass(frozen=True)
class Tokens:
    """Exclusive buckets would overlap here: `input` has the cached, `output` the reasoned."""

    input: Ints
    output: Ints
    cache_read: Ints
    write_5m: Ints
    write_1h: Ints
    reasoning: Ints

    def take(self, rows: Ints) -> Tokens:
        return Tokens(*(getattr(self, f.name)[rows] for f in fields(self)))

    def where(self, kept: Ints) -> Tokens:
        return Tokens(*(np.where(kept, getattr(self, f.name), 0) for f in fields(self)))

    def pad(self, rows: int) -> Tokens:
        zeros = np.zeros(rows, np.int64)
        return Tokens(*(np.append(getattr(self, f.name), zeros) for f in fields(self)))


def draw(
    rng: np.random.Generator, requests: Requests, request: Ints, step: Ints, event: Active
) -> Tokens:
    """Tokens of one call each: `request` and `step` say whose."""
    data = measured()
    size = len(request)
    feature, model = requests.feature[request], requests.model[request]
    chat_in, chat_out = lengths(rng, data.chat_lengths, size)
    doc_in, doc_out = lengths(rng, data.document_lengths, len(requests))
    long = np.array([f.lengths == "document" for f in app.FEATURES])[feature]
    fresh = np.where(long, doc_in[request], chat_in).astype(float)
    out = np.where(long, doc_out[request], chat_out).astype(float)

    # An agent's context starts at a third of a document and grows with every step.
    agent = feature == app.AGENT
    fresh = np.where(agent, fresh * 0.3 * (1 + 0.25 * np.minimum(step, 12)), fresh)
    out = np.where(agent, out * rng.lognormal(-0.6, 0.4, size), out)
    inflated = (feature == app.SUMMARISE) & (requests.prompt_version[request] >= INFLATED_VERSION)
    fresh = np.where(inflated, fresh * INFLATION, fresh)
    out = np.where(feature == app.EMBED, 0, np.maximum(out, 1))
    judge = feature == app.JUDGE
    out = np.where(judge, np.minimum(out, 160), out)
    defect = requests.defect[request]
    out = np.where(defect == Defect.TRUNCATED, OUTPUT_LIMIT, out)
    out = np.where((defect == Defect.EMPTY) & (feature != app.EMBED), 1, out)

    inputs = np.maximum(1, np.rint(fresh)).astype(np.int64)
    outputs = np.rint(out).astype(np.int64)
    reasoning = _reasoning(rng, model, outputs)
    read, write_5m, write_1h = _cache(rng, feature, model, inputs, step)
    return Tokens(inputs, outputs + reasoning, read, write_5m, write_1h, reasoning)


def for_embeddings(tokens: Tokens, embeds: Ints, requests: Requests, request: Ints) -> Tokens:
    """With the tokens of the questions that are embedded before a search."""
    question = 12 + (requests.start_ms[request] % 23)
    return Tokens(
        np.where(embeds, question, tokens.input),
        tokens.output,
        tokens.cache_read,
        tokens.write_5m,
        tokens.write_1h,
        tokens.reasoning,
    )


def _reasoning(rng: np.random.Generator, model: Ints, outputs: Ints) -> Ints:
    """Reasoned tokens in addition to the visible: the measured shares of all output."""
    data = measured()
    often = np.array([m.reasoning for m in MODELS])[model]
    google = np.array([m.usage == "google" for m in MODELS])[model]
    share = np.where(
        google,
        by_quantiles(rng, data.reasoning_google_share, len(model)),
        by_quantiles(rng, data.reasoning_openai_share, len(model)),
    ).clip(max=0.9)
    extra = outputs * share / (1 - share)
    reasons = rng.random(len(model)) < often
    return np.where(reasons, np.rint(extra), 0).astype(np.int64)


def _cache(
    rng: np.random.Generator, feature: Ints, model: Ints, inputs: Ints, step: Ints
) -> tuple[Ints, Ints, Ints]:
    """Cached, and written for five minutes or an hour. Agents re-read what they have said."""
    data = measured()
    size = len(model)
    style = np.array([m.usage for m in MODELS])[model]
    caching = np.isin(style, ("openai", "google", "gateway"))
    claude = style == "anthropic"
    hit = np.where((feature == app.AGENT) & (step > 0), 0.85, 0.3)
    hits = (rng.random(size) < hit) & (inputs > 1024)
    share = np.where(
        claude,
        by_quantiles(rng, data.cached_anthropic_share, size) * 0.9,
        by_quantiles(rng, data.cached_openai_share, size),
    )
    # Caches work in blocks of 128 tokens.
    read = np.where((caching | claude) & hits, (inputs * share).astype(np.int64) // 128 * 128, 0)
    rest = inputs - read
    written = np.where(claude & (inputs > 1024) & (rng.random(size) < 0.7), rest * 6 // 10, 0)
    hour = rng.random(size) < 0.15
    return read, np.where(hour, 0, written), np.where(hour, written, 0)
