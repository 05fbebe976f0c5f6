"""The response-bias check finds raters who are unlike the others, and only those."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.signals.bias import compare


def compared(pull: float, trait: str, repeats: int = 400, traces: int = 2_000) -> pd.DataFrame:
    """`repeats` days on which a twentieth of the traces is rated, a trace one deviation above the
    mean exp(pull) times as often."""
    generator = np.random.default_rng(5)
    value = generator.normal(0, 1, (repeats, traces))
    if trait == "had_error":
        value = (value > 0.85).astype(float)
    odds = np.exp(pull * value)
    odds *= 0.05 / odds.mean(1, keepdims=True)
    rated = generator.random(value.shape) < odds
    sums = [
        pd.DataFrame(
            {
                "day": np.arange(repeats),
                "traces": name,
                "trait": trait,
                "n": mask.sum(1),
                "total": (value * mask).sum(1),
                "squares": (value**2 * mask).sum(1),
            }
        )
        for name, mask in (("all", np.ones_like(rated)), ("rated", rated))
    ]
    return compare(pd.concat(sums))


@pytest.mark.parametrize("trait", ["latency_s", "had_error"])
def test_like_raters_are_told_apart_no_more_often_than_the_interval_allows(trait: str) -> None:
    found = compared(0.0, trait)
    outside = ((found["low"] > 0) | (found["high"] < 0)).mean()
    assert 0.025 < outside < 0.08
    assert found["matters"].mean() < 0.025


@pytest.mark.parametrize(("trait", "pull"), [("latency_s", 0.5), ("had_error", 1.0)])
def test_unlike_raters_are_found(trait: str, pull: float) -> None:
    assert compared(pull, trait)["matters"].mean() > 0.9
