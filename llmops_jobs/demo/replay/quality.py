"""How well a request is answered: hidden, and the cause of everything that shows it.

A request's defect decides what its text looks like, how it is rated and how it is labelled.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay.catalogue import MODELS
from llmops_jobs.demo.replay.events import Active
from llmops_jobs.demo.replay.measured import Ints


class Defect(IntEnum):
    NONE = 0
    UNGROUNDED = 1  # says what the sources do not say
    REFUSAL = 2
    LANGUAGE = 3  # not the language of the question
    TRUNCATED = 4
    REPETITION = 5
    IRRELEVANT = 6  # about something else
    PII = 7  # tells one customer about another
    INVALID_JSON = 8
    MISSING_FIELD = 9
    EMPTY = 10
    WRONG = 11  # fluent, on topic and wrong: no surface sign
    TOOL_MISUSE = 12  # a call of a tool that is not there, or with broken arguments


D = Defect
# Rates of bad answers, before the model's factor.
RATES: Final[dict[int, dict[Defect, float]]] = {
    app.CHAT: {
        D.REFUSAL: 0.02,
        D.LANGUAGE: 0.012,
        D.TRUNCATED: 0.01,
        D.REPETITION: 0.006,
        D.IRRELEVANT: 0.03,
        D.PII: 0.003,
        D.EMPTY: 0.003,
        D.WRONG: 0.03,
    },
    app.RAG: {
        D.UNGROUNDED: 0.05,
        D.REFUSAL: 0.025,
        D.LANGUAGE: 0.008,
        D.TRUNCATED: 0.006,
        D.IRRELEVANT: 0.012,
        D.PII: 0.002,
        D.WRONG: 0.02,
    },
    app.EXTRACT: {D.INVALID_JSON: 0.03, D.MISSING_FIELD: 0.03, D.WRONG: 0.03},
    app.SUMMARISE: {
        D.UNGROUNDED: 0.035,
        D.TRUNCATED: 0.03,
        D.REPETITION: 0.015,
        D.LANGUAGE: 0.012,
        D.WRONG: 0.015,
    },
    app.AGENT: {D.TOOL_MISUSE: 0.05, D.IRRELEVANT: 0.03, D.REFUSAL: 0.015, D.WRONG: 0.04},
}
FREER_PROMPT: Final = {D.UNGROUNDED: 0.27, D.WRONG: 0.04}  # rag-answer version 4
SOURING: Final = {D.IRRELEVANT: 0.22, D.REFUSAL: 0.16}  # the feedback drop
FREER_VERSION: Final = 4


def draw(
    rng: np.random.Generator,
    feature: Ints,
    model: Ints,
    version: Ints,
    language: Ints,
    event: Active,
) -> Ints:
    """The defect of every request."""
    size = len(feature)
    rates = np.zeros((size, len(Defect)))
    for code, table in RATES.items():
        mine = feature == code
        for defect, rate in table.items():
            rates[mine, defect] = rate
    rates *= np.array([m.mistakes for m in MODELS])[model][:, None]
    rates[language > 0] *= 1.25
    freer = (feature == app.RAG) & (version >= FREER_VERSION)
    for defect, rate in FREER_PROMPT.items():
        rates[freer, defect] += rate
    if event("feedback-drop"):
        for defect, rate in SOURING.items():
            rates[feature == app.CHAT, defect] += rate
    rates[:, Defect.NONE] = np.maximum(0, 1 - rates.sum(axis=1))
    cdf = np.cumsum(rates, axis=1)
    draws = rng.random(size) * cdf[:, -1]
    return (draws[:, None] > cdf).sum(axis=1).clip(max=len(Defect) - 1)
