"""What the assets and the command line call: the rows of each table for a range of nights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from llmops_jobs.forecast import budgets as budgeting
from llmops_jobs.forecast.anomalies import anomalies
from llmops_jobs.forecast.calibration import Calibration
from llmops_jobs.forecast.frames import daily_rows, period_rows
from llmops_jobs.forecast.history import COST, SCOPED, History, read_history
from llmops_jobs.forecast.holidays import read_holidays
from llmops_jobs.forecast.nightly import Forecaster, Night
from llmops_jobs.forecast.periods import horizon_end, period_of
from llmops_jobs.forecast.prices import price_changes
from llmops_jobs.forecast.scopes import Key
from llmops_jobs.forecast.scorecard import score_cards
from llmops_jobs.forecast.settings import Budget, ForecastSettings

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.ledger.book import PriceBook
    from llmops_jobs.store import Database

_LONGEST_PERIOD = 93  # days of a quarter and the hours of another zone
_SLACK = 14  # days read beyond the window: a week for the refit day, a week for alignment


def open_history(
    database: Database,
    project: str,
    nights: Sequence[date],
    settings: ForecastSettings,
    budgets: Sequence[Budget] = (),
) -> History:
    """The history that all of these nights need, read once."""
    span = (max(nights) - min(nights)).days
    days = max(settings.history_days, _LONGEST_PERIOD) + span + _SLACK
    return read_history(database, project, max(nights), days, _dimensions(budgets))


def _dimensions(budgets: Sequence[Budget]) -> list[str]:
    wanted = {scope.partition("=")[0] for scope in budgeting.scopes(budgets)}
    return [*SCOPED, *sorted(wanted - set(SCOPED) - {"total", "is_evaluation"})]


def open_forecaster(
    database: Database,
    project: str,
    nights: Sequence[date],
    settings: ForecastSettings,
    budgets: Sequence[Budget] = (),
    book: PriceBook | None = None,
) -> Forecaster:
    history = open_history(database, project, nights, settings, budgets)
    last = max(as_of + timedelta(days=horizon(as_of, budgets)) for as_of in nights)
    prices = price_changes(database, history, book, last) if book is not None else None
    holidays = read_holidays(settings.holidays)
    return Forecaster(history, settings, budgeting.scopes(budgets), prices, holidays)


def horizon(as_of: date, budgets: Sequence[Budget]) -> int:
    """Days ahead: to the end of next month, or of the longest budget period if that is later."""
    ends = [horizon_end(as_of)]
    ends += [period_of(as_of, each.period, each.time_zone).ends.date() for each in budgets]
    return (max(ends) - as_of).days


def spend_forecasts(
    database: Database,
    project: str,
    nights: Sequence[date],
    settings: ForecastSettings,
    budgets: Sequence[Budget] = (),
    book: PriceBook | None = None,
) -> Iterator[tuple[date, pd.DataFrame, pd.DataFrame]]:
    """(as_of, rows of `spend_forecast`, rows of `period_forecast`), nights in order.

    Without a price book every price is taken to stay what it was.
    """
    import pandas as pd

    forecaster = open_forecaster(database, project, nights, settings, budgets, book)
    history = forecaster.history
    calibration = Calibration(database, history, min(nights))
    for as_of in sorted(nights):
        factors = calibration.factors(as_of)
        night = forecaster.night(as_of, horizon(as_of, budgets), widen=factors)
        if night is None:
            yield as_of, pd.DataFrame(), pd.DataFrame()
            continue
        daily = daily_rows(night)
        calibration.add(night, daily)
        yield as_of, daily, period_rows(night, history)


def budget_statuses(
    database: Database,
    project: str,
    nights: Sequence[date],
    settings: ForecastSettings,
    budgets: Sequence[Budget],
    book: PriceBook | None = None,
) -> Iterator[tuple[date, pd.DataFrame]]:
    """(as_of, rows of `budget_status`), nights in order. Forecasts cost again, from the same
    seed: the same paths as the stored forecast's, which keeps their quantiles only."""
    import pandas as pd

    if not budgets:
        yield from ((as_of, pd.DataFrame()) for as_of in sorted(nights))
        return
    forecaster = open_forecaster(database, project, nights, settings, budgets, book)
    history = forecaster.history
    factors = _stored_factors(database, project, min(nights), max(nights))
    for as_of in sorted(nights):
        night: Night | None = forecaster.night(
            as_of, horizon(as_of, budgets), metrics=(COST,), widen=factors.get(as_of)
        )
        yield as_of, budgeting.status(budgets, history, night, as_of)


def _stored_factors(
    database: Database, project: str, first: date, last: date
) -> dict[date, dict[Key, float]]:
    """as_of -> (metric, scope) -> the factor that the stored forecast's interval was given."""
    from llmops_jobs.store.tables.forecast import spend_forecast as stored

    query = sa.select(stored.c.as_of, stored.c.metric, stored.c.scope, stored.c.widened).where(
        stored.c.project_id == project,
        stored.c.as_of >= first,
        stored.c.as_of <= last,
        stored.c.metric == COST,
        stored.c.horizon == 1,
        stored.c.widened.is_not(None),
    )
    factors: dict[date, dict[Key, float]] = {}
    for as_of, metric, scope, widened in database.read(query).itertuples(index=False):
        factors.setdefault(as_of, {})[metric, scope] = float(widened)
    return factors


def forecast_scores(
    database: Database, project: str, nights: Sequence[date], budgets: Sequence[Budget] = ()
) -> Iterator[tuple[date, pd.DataFrame]]:
    """(as_of, rows of `forecast_score`)."""
    history = _recent(database, project, nights, budgets)
    return score_cards(database, history, sorted(nights))


def night_anomalies(
    database: Database,
    project: str,
    nights: Sequence[date],
    settings: ForecastSettings,
    budgets: Sequence[Budget] = (),
) -> Iterator[tuple[date, pd.DataFrame]]:
    """(day, rows of `anomaly`)."""
    history = _recent(database, project, nights, budgets)
    return anomalies(database, history, sorted(nights), settings)


def _recent(
    database: Database, project: str, nights: Sequence[date], budgets: Sequence[Budget]
) -> History:
    """Enough for the longest window of the score-card, its horizons and the seasonal naive."""
    span = (max(nights) - min(nights)).days
    return read_history(
        database, project, max(nights), span + 90 + 28 + _SLACK, _dimensions(budgets)
    )


def summary(daily: pd.DataFrame, periods: pd.DataFrame) -> dict[str, float | int]:
    """What the UI plots of a night's forecast: the total's month at its end, in USD."""
    told: dict[str, float | int] = {"dagster/row_count": len(daily)}
    if periods.empty:
        return told
    total = periods[(periods["scope"] == "total") & (periods["metric"] == COST)]
    month = total[total["period"].str.fullmatch(r"\d{4}-\d{2}")].sort_values("period").iloc[0]
    return told | {f"month_{name}_usd": float(month[name]) for name in ("p10", "p50", "p90")}


def headline(card: pd.DataFrame) -> dict[str, float | int]:
    """What the UI plots of a score-card: the total's cost over 30 nights."""
    told: dict[str, float | int] = {"dagster/row_count": len(card)}
    if card.empty:
        return told
    row = card[(card["scope"] == "total") & (card["metric"] == COST) & (card["window"] == 30)]
    for name in ("coverage_50", "coverage_80", "coverage_95", "mase"):
        if len(row) and row[name].notna().all():
            told[name] = float(row[name].iloc[0])
    return told
