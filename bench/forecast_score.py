"""Scores of a forecasting task: the same for us and for the rival."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from bench.forecast_tasks import Floats, Task

LEVELS = np.array([0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975])
BUDGETS = (0.8, 0.9, 1.0, 1.1, 1.25, 1.5)  # times the run-rate of the last 28 days
NATURAL = ("business", "llm_class", "llm_model", "monthend", "intermittent")


def key(task: Task) -> str:
    """Names the task and its numbers, so that a kept score is never that of another."""
    digest = hashlib.sha256(task.train.tobytes() + task.actual.tobytes()).hexdigest()
    return f"{task.group}|{task.name}|{digest[:12]}"


def score(task: Task, quantiles: Floats) -> dict[str, float]:
    """`quantiles` is `(horizon, 9)`. WIS and MASE are in units of the task's scale."""
    known = ~np.isnan(task.actual)
    actual, q = task.actual[known], quantiles[: len(task.actual)][known]
    off = actual[:, None] - q
    pinball = np.maximum(LEVELS * off, (LEVELS - 1) * off)
    return {
        "wis": float(2 * pinball.mean() / task.scale),
        "mase": float(np.abs(off[:, 4]).mean() / task.scale),
        "inside_80": float(((actual >= q[:, 2]) & (actual <= q[:, 6])).mean()),
        "inside_95": float(((actual >= q[:, 0]) & (actual <= q[:, 8])).mean()),
    }


def ratio(ours: pd.Series, theirs: pd.Series) -> float:
    """Geometric mean of the ratios, each within [0.1, 10]."""
    each = np.clip(ours.to_numpy() / np.maximum(theirs.to_numpy(), 1e-12), 0.1, 10)
    return float(np.exp(np.log(each).mean()))


def groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each target."""
    group, days = table["group"], table["days"]
    natural = group.isin(NATURAL) & (days >= 28)
    return {
        "all tasks": table,
        "natural, 28 days and more": table[natural],
        "business": table[group == "business"],
        "history of 7-35 days": table[group.str.startswith("short") | (group == "servegen")],
        "injected faults": table[group.str.startswith("fault")],
    }


def brier(task: Task, sums: Floats) -> tuple[float, float, float] | None:
    """Of the breach of six budgets: by our paths' sums, and by extrapolating the run-rate of 7
    and of 28 days (a rate over the budget is a probability of 1)."""
    if np.isnan(task.actual).any() or len(task.train) < 28:
        return None
    horizon, came = len(task.actual), float(task.actual.sum())
    rate = {days: float(np.nanmean(task.train[-days:])) * horizon for days in (7, 28)}
    if not rate[28] > 0:
        return None
    scores = np.zeros((len(BUDGETS), 3))
    for number, factor in enumerate(BUDGETS):
        budget = factor * rate[28]
        over = float(came > budget)
        guesses = (float((sums > budget).mean()), float(rate[7] > budget), float(rate[28] > budget))
        scores[number] = [(guess - over) ** 2 for guess in guesses]
    ours, week, month = scores.mean(axis=0)
    return float(ours), float(week), float(month)
