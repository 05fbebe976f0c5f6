"""Comparing versions every morning: false alarms and power, beside a z-test and a fixed horizon;
and change points looked for every night in traffic in which nothing happens.

Months of 30 mornings, two versions side by side, 40 users a day with a few calls each whose pass
rates differ by user. An alarm is a verdict of "worse" on any morning. Quiet traffic is the demo's
replay without its marked events.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

from llmops_jobs.versions.change_points import Panel, detect
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


def quiet_series(seed: int, days: int) -> tuple[list[date], Any, Any, list[bool]]:
    """Days, levels, trials and whether relative, of traffic in which nothing happens."""
    import pandas as pd

    from llmops_jobs.demo.replay import Replay
    from llmops_jobs.demo.replay.observations import Role

    end = date(2026, 11, 23)
    replay = Replay(seed=seed, days=days, end=end, with_events=False)
    frames = []
    for back in range(days - 1, -1, -1):
        plan = replay.plan(end - timedelta(days=back))
        rows, at = plan.observations, np.flatnonzero(plan.observations.role == Role.CALL)
        frames.append(
            pd.DataFrame(
                {
                    "day": plan.day,
                    "feature": plan.requests.feature[rows.request[at]],
                    "tenant": plan.requests.tenant[rows.request[at]],
                    "model": rows.model[at],
                    "total": 0,
                    "error_rate": (rows.failure[at] > 0).astype(float),
                    "input": rows.tokens.input[at],
                    "output": rows.tokens.output[at],
                    "latency": (rows.end_ms - rows.start_ms)[at],
                }
            )
        )
    calls = pd.concat(frames)
    levels, trials = {}, {}
    for scope in ("total", "feature", "tenant", "model"):
        grouped = calls.groupby([scope, "day"])
        n = grouped.size().unstack(0)
        parts = {name: grouped[name].mean() for name in ("error_rate", "input", "output")}
        parts |= {f"latency_{q}": grouped["latency"].quantile(q) for q in (0.5, 0.95)}
        for metric, values in parts.items():
            for value, level in values.unstack(0).where(n >= 30).items():
                levels[f"{scope}={value}", metric] = level
                trials[f"{scope}={value}", metric] = n[value] * (
                    1.0 if metric == "error_rate" else np.nan
                )
    relative = [metric != "error_rate" for _, metric in levels]
    return sorted(calls["day"].unique()), pd.DataFrame(levels), pd.DataFrame(trials), relative


def _quiet() -> None:
    """Nights with a false change point, of 60 nights a seed, from the first night on."""
    nights, alarms, series = 0, 0, 0
    for seed in range(1, 6):
        days, levels, trials, relative = quiet_series(seed, 60)
        series += levels.shape[1]
        reported: set[tuple[str, str]] = set()
        for night in range(1, len(days) + 1):
            seen = slice(max(0, night - 56), night)
            panel = Panel(
                days[seen],
                list(levels.columns),
                levels.to_numpy()[seen],
                trials.to_numpy()[seen],
                np.array(relative),
            )
            found = {(c.scope, c.metric) for c in detect(panel, 0.05)} - reported
            nights, alarms = nights + 1, alarms + bool(found)
            reported |= found
    print(f"   change points in quiet traffic: {alarms} of {nights} nights with a false one")
    print(f"   ({series // 5} series each night, false discovery rate 5 % a night)")


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
    _quiet()
