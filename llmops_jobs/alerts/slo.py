"""Objectives: how fast an error budget is spent, by Google's multi-window table.

An alert fires when the budget burns faster than `factor` in a long window and still does in the
short one (Google SRE Workbook, ch. 5, "multiwindow, multi-burn-rate alerts"). Few events make noisy
rates, so the lower end of the bad share's Wilson interval must exceed factor x budget.

The marts are daily, so the nightly job owns the rows of a day and more, with a day as the shortest
window; `burning` takes counts of any width, for whoever has them by the minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.alerts.rules import NUMBERS, days_of, show, where_in_words
from llmops_jobs.alerts.series import CONFIDENCE
from llmops_jobs.alerts.settings import Severity, Slo

if TYPE_CHECKING:
    import pandas as pd

PERIOD_DAYS = 28
HOUR = 3600


@dataclass(frozen=True)
class Window:
    """Burns `factor` times as fast as the budget allows, over `long` and `short` seconds."""

    severity: Severity
    long: int
    short: int
    factor: float


WINDOWS: tuple[Window, ...] = (
    Window("critical", HOUR, HOUR // 12, 14.4),
    Window("critical", 6 * HOUR, HOUR // 2, 6),
    Window("warning", 24 * HOUR, 2 * HOUR, 3),
    Window("warning", 72 * HOUR, 6 * HOUR, 1),
)


@dataclass(frozen=True)
class Burn:
    """`rate` is the burn rate over the long window, `low` that of the Wilson bound."""

    window: Window
    rate: float
    low: float
    n: int


def burning(
    bad: Sequence[float] | np.ndarray,
    total: Sequence[float] | np.ndarray,
    *,
    width: int,
    objective: float,
    windows: Sequence[Window] = WINDOWS,
) -> Burn | None:
    """The gravest window that burns, from counts in steps of `width` seconds, the newest last.

    A window that is shorter than a step is measured on one step. None when none burns.
    """
    from llmops_jobs.signals.intervals import wilson

    budget = 1 - objective
    for window in windows:
        rates = []
        for seconds in (window.long, window.short):
            steps = max(1, round(seconds / width))
            b, n = float(np.sum(bad[-steps:])), float(np.sum(total[-steps:]))
            low = float(wilson(b, n, CONFIDENCE)[0]) if n else 0.0
            rates.append((b / n / budget if n else 0.0, low / budget, int(n)))
        (rate, low, count), (_, short_low, _) = rates
        if low > window.factor and short_low > window.factor:
            return Burn(window, rate, low, count)
    return None


# A day is the shortest step here: one whole day at the pace of the first row is more than half of
# the 28 days' budget, and wakes somebody; the other rows are tickets.
_NIGHTLY = (
    Window("critical", 24 * HOUR, 24 * HOUR, 14.4),
    Window("critical", 24 * HOUR, 24 * HOUR, 6),
    *WINDOWS[2:],
)


def evaluate(marts: Marts, slo: Slo) -> Iterator[tuple[date, Finding]]:
    rows = METRICS[slo.metric].series(marts, slo.by, slo.where, slo.within)
    if rows.empty:
        return
    names = [name for name in rows.columns if name not in NUMBERS]
    for key, part in rows.groupby(names, sort=True) if names else [((), rows)]:
        labels = {**slo.where, **dict(zip(names, map(str, key), strict=True))}
        yield from _slice(marts, slo, labels, part)


def _slice(
    marts: Marts, slo: Slo, labels: dict[str, str], part: pd.DataFrame
) -> Iterator[tuple[date, Finding]]:
    counts = {day: (b, n) for day, b, n in zip(part["day"], part["bad"], part["n"], strict=True)}
    for day in days_of(marts):
        if day not in counts:
            continue
        window = [counts.get(day - timedelta(days=ago), (0.0, 0.0)) for ago in range(PERIOD_DAYS)]
        bad, total = np.array(window[::-1]).T
        burn = burning(bad, total, width=24 * HOUR, objective=slo.objective, windows=_NIGHTLY)
        spent = bad.sum() / ((1 - slo.objective) * total.sum())
        share = bad[-1] / total[-1]
        objective = f"{slo.objective:.5g}"
        good = f"{1 - bad.sum() / total.sum():.2%} good in {PERIOD_DAYS} days"
        yield (
            day,
            Finding(
                rule=slo.name,
                labels=labels,
                firing=burn is not None,
                # The short window alone resolves: what burns no longer is over.
                holding=bool(share > (1 - slo.objective)),
                severity=burn.window.severity if burn else "warning",
                summary=f"{where_in_words(labels)}: objective {objective} for "
                f"{METRICS[slo.metric].says}"
                + (f" burns {burn.rate:.1f} times as fast as its budget" if burn else "")
                + f"; {good}, {spent:.0%} of the budget spent",
                topic=METRICS[slo.metric].topic,
                value=float(burn.rate) if burn else float(share / (1 - slo.objective)),
                threshold=float(burn.window.factor) if burn else 1.0,
                n=int(total[-1]),
                detail={
                    "metric": slo.metric,
                    "objective": slo.objective,
                    "budget_spent": float(spent),
                    "bad_share": show(float(share), "share"),
                },
                owner=slo.owner,
                runbook=slo.runbook,
                channels=slo.channels,
                cooldown_days=slo.cooldown_days,
            ),
        )
