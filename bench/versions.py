"""Comparing versions every morning: false alarms and power, beside a z-test and a fixed horizon.

Months of 30 mornings, two versions side by side, 40 users a day with a few calls each whose pass
rates differ by user. An alarm is a verdict of "worse" on any morning.
"""

from __future__ import annotations

import numpy as np

from llmops_jobs.versions.estimate import Arms, difference
from llmops_jobs.versions.sequence import radius

MONTHS = 1000
MORNINGS = 30
USERS = 40


def _month(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, ...]:
    """morning, arm, user and outcome of every call of a month."""
    user = np.arange(MORNINGS * USERS)
    calls = 1 + rng.poisson(3, len(user))
    level = np.clip(0.88 + rng.normal(0, 0.08, len(user)), 0, 1)
    arm = rng.integers(0, 2, len(user))
    who = np.repeat(user, calls)
    passed = rng.random(len(who)) < np.clip(level[who] + effect * arm[who], 0, 1)
    return who // USERS, arm[who], who, passed.astype(float)


def _first_alarms(rng: np.random.Generator, effect: float) -> tuple[int, int, int]:
    """Morning of the first alarm (0 = none) by the sequence, a nightly z-test, one final test."""
    morning, arm, user, passed = _month(rng, effect)
    sequence = nightly = fixed = 0
    for day in range(1, MORNINGS + 1):
        seen = morning < day
        arms = Arms(arm[seen], np.zeros(int(seen.sum()), dtype=int), user[seen])
        found = difference(arms, passed[seen])
        if found is None:
            continue
        if not sequence and found.difference + radius(found.standard_error, found.units) < 0:
            sequence = day
        a, b = passed[seen & (arm == 0)], passed[seen & (arm == 1)]
        naive = np.sqrt(a.var() / len(a) + b.var() / len(b))
        if not nightly and b.mean() - a.mean() < -1.96 * naive:
            nightly = day
        if day == MORNINGS and found.difference < -1.96 * found.standard_error:
            fixed = day
    return sequence, nightly, fixed


def run() -> None:
    print("   effect   alarms within the month (median morning)")
    print("            anytime-valid      nightly z-test     one test on day 30")
    for effect in (0.0, -0.03, -0.05, -0.10):
        rng = np.random.default_rng(2026)
        months = MONTHS if effect == 0 else MONTHS // 5
        alarms = np.array([_first_alarms(rng, effect) for _ in range(months)])
        cells = []
        for column in alarms.T:
            hits = column[column > 0]
            when = f"({int(np.median(hits))})" if len(hits) else "(-)"
            cells.append(f"{len(hits) / months:6.1%} {when:<11}")
        print(f"   {effect:+.0%}      " + "".join(cells))
