"""One replay for the whole folder, and its days by their distance to the last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

import pytest

from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.rows import DayRows

END = date(2026, 11, 23)


@pytest.fixture(scope="session")
def replay() -> Replay:
    return Replay(seed=7, end=END)


@pytest.fixture(scope="session")
def ago(replay: Replay) -> Callable[[int], DayRows]:
    """`ago(3)`: the rows of the day three days before the last; generated once."""
    return cache(lambda days: replay.day(END - timedelta(days=days)))
