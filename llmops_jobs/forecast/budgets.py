"""Budgets: spent, where the period will end, how likely it is over, what would bring it back."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.frames import spent
from llmops_jobs.forecast.history import COST, EVALUATION, TOTAL, History
from llmops_jobs.forecast.nightly import Night
from llmops_jobs.forecast.periods import Period, period_of
from llmops_jobs.forecast.settings import Budget

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

_ALIASES = {"is_evaluation=false": TOTAL, "is_evaluation=": TOTAL, EVALUATION: EVALUATION}
_WEEK = 7


def status(
    budgets: Sequence[Budget], history: History, night: Night | None, as_of: date
) -> pd.DataFrame:
    """One row per budget: the columns of the table `budget_status`.

    The period is the one in which `as_of` ends. A budget whose scope has no usage is `no_data`,
    with the nearest scope that has some in its advice.
    """
    import pandas as pd

    return pd.DataFrame([_row(budget, history, night, as_of) for budget in budgets])


def scopes(budgets: Sequence[Budget]) -> set[str]:
    return {scope_of(budget) for budget in budgets}


def scope_of(budget: Budget) -> str:
    return _ALIASES.get(budget.scope, budget.scope)


def _row(budget: Budget, history: History, night: Night | None, as_of: date) -> dict[str, Any]:
    period = period_of(as_of, budget.period, budget.time_zone)
    scope = scope_of(budget)
    row: dict[str, Any] = {
        "budget": budget.name,
        "scope": budget.scope,
        "period_start": period.first,
        "period_end": period.end,
        "time_zone": budget.time_zone,
        "amount_usd": budget.amount_usd,
        "owner": budget.owner,
    }
    end = history.index(as_of) + 1
    past = history.scope(scope)
    if night is None or past is None:
        return row | _no_data(budget, night)
    if (COST, scope) not in night.keys and not np.nansum(np.abs(past[:end])) > 0:
        return row | _no_data(budget, night)
    amount = float(budget.amount_usd)
    sums = spent(history, past[:end, None], period.weights(history.first, end))
    to_date, guess, missing = float(sums[0][0]), float(sums[1][0]), sums[2]
    weights = period.weights(as_of + timedelta(days=1), night.horizon)
    paths = night.paths(COST, scope)
    if paths is None:  # used once, but not of late: nothing is expected of it
        paths = np.zeros(night.values.shape[1:], dtype=np.float32)
    running = to_date + guess + np.cumsum(paths * weights[:, None], axis=0)
    ends = running[-1]
    p10, p50, p90 = np.quantile(ends, [0.1, 0.5, 0.9])
    over = float((ends > amount).mean())
    elapsed = period.elapsed(as_of)
    return row | {
        "spent_usd": to_date,
        "forecast_p10_usd": p10,
        "forecast_p50_usd": p50,
        "forecast_p90_usd": p90,
        "probability_over": over,
        "exhausted_on": _exhausted(history, scope, period, running, amount, as_of),
        "burn_rate": to_date / amount / elapsed if elapsed > 0 else None,
        "threshold": max([t for t in budget.thresholds if to_date >= t * amount], default=0.0),
        "status": _state(to_date, amount, over, budget.at_risk),
        "advice": _advice(budget, period, history, night, scope, to_date, guess, p50, as_of)
        + _about_missing(missing, guess),
    }


def _no_data(budget: Budget, night: Night | None) -> dict[str, Any]:
    advice = f"No usage was ever seen for {budget.scope}; check the scope in the configuration."
    known = [] if night is None else [scope for metric, scope in night.keys if metric == COST]
    near = difflib.get_close_matches(budget.scope, known, n=1)
    if near:
        advice += f" The nearest that has usage is {near[0]}."
    if budget.scope == TOTAL:
        advice = "No usage was seen yet."
    return {
        "spent_usd": 0.0,
        "forecast_p10_usd": None,
        "forecast_p50_usd": None,
        "forecast_p90_usd": None,
        "probability_over": None,
        "exhausted_on": None,
        "burn_rate": None,
        "threshold": 0.0,
        "status": "no_data",
        "advice": advice,
    }


def _state(to_date: float, amount: float, over: float, at_risk: float) -> str:
    if to_date > amount:
        return "over"
    return "at_risk" if over >= at_risk else "ok"


def _exhausted(
    history: History, scope: str, period: Period, running: Floats, amount: float, as_of: date
) -> date | None:
    """The day the budget was used up, or the median day over the paths; None when at least half
    of the paths end within it."""
    end = history.index(as_of) + 1
    series = history.scope(scope)
    if series is not None:
        past = np.nancumsum(series[:end] * period.weights(history.first, end))
        if past.size and past[-1] > amount:
            return history.first + timedelta(days=int(np.argmax(past > amount)))
    crossed = running > amount
    if crossed[-1].mean() < 0.5:
        return None
    day = np.where(crossed.any(axis=0), crossed.argmax(axis=0), len(running))
    median = int(np.sort(day)[(len(day) - 1) // 2])
    return as_of + timedelta(days=1 + median)


def _advice(
    budget: Budget,
    period: Period,
    history: History,
    night: Night,
    scope: str,
    to_date: float,
    guess: float,
    p50: float,
    as_of: date,
) -> str:
    amount, left = float(budget.amount_usd), period.days_left(as_of)
    room = amount - to_date - guess
    if left < 0.01:
        closed = "over" if to_date > amount else "within"
        return f"The period has ended {closed} budget: {_usd(to_date)} of {_usd(amount)}."
    expected = max(p50 - to_date - guess, 0.0) / left
    if room <= 0:
        return (
            f"Used up, with {left:.0f} days to go: each further day costs about {_usd(expected)}."
            + _largest(history, night, scope)
        )
    allowed = room / left
    if allowed >= expected:
        return (
            f"On course: about {_usd(expected)} a day expected, {_usd(allowed)} a day would still "
            "fit."
        )
    return (
        f"To end on budget, spend at most {_usd(allowed)} a day for the remaining {left:.0f} days, "
        f"{1 - allowed / expected:.0%} less than the {_usd(expected)} expected."
        + _largest(history, night, scope)
    )


def _largest(history: History, night: Night, scope: str) -> str:
    """What grew most in the last week against the week before, for a budget on the total."""
    if scope != TOTAL:
        return ""
    end = history.index(night.as_of) + 1
    grown: list[tuple[float, str]] = []
    for dimension, block in history.blocks.items():
        if dimension == "environment":
            continue
        amounts = block.amounts[COST]
        last = np.nansum(amounts[max(0, end - _WEEK) : end], axis=0)
        before = np.nansum(amounts[max(0, end - 2 * _WEEK) : max(0, end - _WEEK)], axis=0)
        for value, gain in zip(block.values, last - before, strict=True):
            grown.append((float(gain), f"{dimension}={value}"))
    gain, name = max(grown, default=(0.0, ""))
    if gain <= 0.0:
        return ""
    return f" The largest growth since the week before is {name}, {_usd(gain)} a week more."


def _about_missing(missing: int, guess: float) -> str:
    if not missing:
        return ""
    days = "1 day is" if missing == 1 else f"{missing} days are"
    return f" {days} not copied yet, guessed at {_usd(guess)}."


def _usd(amount: float) -> str:
    if 0 < abs(amount) < 0.01:
        return f"${amount:.2g}"
    return f"${amount:,.2f}"
