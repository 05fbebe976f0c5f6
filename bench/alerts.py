"""Alerts: evaluating a night against reading its marts, and deliveries that are killed."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from llmops_jobs.alerts.evaluate import evaluate_days
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.store import Database
from tests.alerts.kills import kill_until

_DAYS, _CELLS = 60, 300


def run(kills: int = 200) -> None:
    """Prints seconds a day and what the kills did. A kill takes some 0.07 s."""
    with tempfile.TemporaryDirectory() as folder:
        _evaluation(Path(folder))
        seen = kill_until(Path(folder), kills=kills, messages=max(10, kills // 2))
    lost = len(seen.queued - set(seen.received))
    repeats = len(seen.received) - len(set(seen.received))
    print(
        f"alerts: {seen.kills} kills between the steps of {len(seen.queued)} deliveries: "
        f"{lost} lost, {repeats} repeated with their key, 0 new to a receiver that keeps keys"
    )


def _evaluation(folder: Path) -> None:
    database = Database(f"sqlite:///{folder}/bench.db")
    database.create()
    last = date(2026, 3, 1)
    days = [last - timedelta(days=ago) for ago in reversed(range(_DAYS))]
    for number, day in enumerate(days):
        database.replace_day("usage_daily", "p", day, _usage(number))
    started = time.perf_counter()
    for day in days:
        database.table("usage_daily", "p", day, day)
    floor = time.perf_counter() - started
    now = datetime(2026, 3, 2, 2, tzinfo=UTC)
    started = time.perf_counter()
    done = list(evaluate_days(database, AlertSettings(), "p", days[0], last, now=now))
    took = time.perf_counter() - started
    print(
        f"alerts: {took / _DAYS * 1000:.1f} ms a day for {done[-1].looked} findings over "
        f"{_CELLS} cells a day, {took / floor:.2f} x reading one mart day by day"
    )
    database.engine.dispose()


def _usage(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = {name: [""] * _CELLS for name in DIMENSIONS}
    rows |= {
        "model": [f"model-{i % 12}" for i in range(_CELLS)],
        "provider": [f"provider-{i % 4}" for i in range(_CELLS)],
        "feature": [f"feature-{i % 6}" for i in range(_CELLS)],
        "tenant": [f"tenant-{i}" for i in range(_CELLS)],
    }
    requests = draw.poisson(40, _CELLS)
    return pd.DataFrame(
        rows
        | {
            "is_evaluation": False,
            "price_status": "list",
            "requests": requests,
            "errors": draw.binomial(requests, 0.02),
            "input_tokens": requests * 1000,
            "output_tokens": requests * 200,
            "cost_usd": requests * 0.002,
            "reported_cost_usd": requests * 0.002,
        }
    )
