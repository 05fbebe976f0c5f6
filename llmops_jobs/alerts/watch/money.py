"""Budgets through the day: money spent so fast that it will not last for its period.

The pace of a budget is its amount spread evenly over its period. As with error budgets, an hour at
14.4 times that pace (2 % of a month's money) or six hours at 6 times are worth a page, while the
last part of the window still goes as fast (Google SRE Workbook, ch. 5, applied to money).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.alerts.findings import Finding, slice_of
from llmops_jobs.alerts.watch.looks import HOUR, QUARTER, SIX_HOURS, ages_of
from llmops_jobs.alerts.watch.rows import Rows
from llmops_jobs.forecast.periods import period_of

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.forecast.settings import Budget

PACES = ((14.4, HOUR, QUARTER), (6.0, SIX_HOURS, HOUR))
_FEWEST = 20  # calls in the long window: one dear call is no pace


def pace(rows: Rows, budgets: Sequence[Budget], now: datetime) -> Iterator[Finding]:
    """One finding per budget of product spend, named apart from the night's rule `budget`."""
    for budget in budgets:
        wanted = slice_of(budget.scope)
        calls = rows.calls
        if not set(wanted) <= set(calls.columns):  # is_evaluation=true is no product spend
            continue
        for name, value in wanted.items():
            calls = calls[calls[name] == value]
        period = period_of(now.date(), budget.period, budget.time_zone)
        hourly = float(budget.amount_usd) / ((period.ends - period.starts) / HOUR)
        fast = _fast(calls, hourly, now)
        factor, window, usd, n = fast or (PACES[0][0], HOUR, *_spent(calls, HOUR, now))
        rate = usd / (window / HOUR) / hourly
        yield Finding(
            rule="budget-pace",
            topic="spend",
            labels={"budget": budget.name},
            firing=fast is not None,
            holding=rate > 3,
            severity="critical",
            summary=f"Budget {budget.name} of ${float(budget.amount_usd):,.0f} a {budget.period}: "
            f"${usd:,.2f} in the last {'hour' if window == HOUR else '6 hours'}, "
            f"{rate:.0f} times its pace",
            value=rate,
            threshold=factor,
            n=n,
            detail={
                "scope": budget.scope,
                "metric": "cost_usd",
                "watched_at": now.isoformat(timespec="seconds"),
            },
            owner=budget.owner,
        )


def _fast(
    calls: pd.DataFrame, hourly: float, now: datetime
) -> tuple[float, timedelta, float, int] | None:
    """(factor, window, USD, calls) of the first pace that is exceeded."""
    for factor, long, short in PACES:
        usd, n = _spent(calls, long, now)
        recent, _ = _spent(calls, short, now)
        limit = factor * hourly
        if n >= _FEWEST and usd > limit * (long / HOUR) and recent > limit * (short / HOUR):
            return factor, long, usd, n
    return None


def _spent(calls: pd.DataFrame, window: timedelta, now: datetime) -> tuple[float, int]:
    inside = ages_of(calls, now) <= window.total_seconds()
    return float(calls["cost_usd"].to_numpy()[inside].sum()), int(inside.sum())
