"""The group `forecast`: where spend is heading, budgets, last night's anomalies, the score-card."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, run_days
from llmops_jobs import progress
from llmops_jobs.deployment import Deployment
from llmops_jobs.resources import DeploymentResource


@daily_asset(
    group="forecast",
    deps=["usage_daily"],
    kinds={"statsmodels"},
    table="spend_forecast",
    description="Tokens and cost of every scope, day by day to the end of next month, as seven "
    "quantiles that were made on the days up to this one; with week, month and quarter sums.",
)
def spend_forecast(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.forecast.runs import spend_forecasts, summary
    from llmops_jobs.ledger.book import load_book

    home, nights = _window(context, deployment)
    options = (home.settings.forecast, home.settings.budgets, load_book(home.settings.ledger))
    made = _told(context, home, lambda p: spend_forecasts(home.database, p, nights, *options))
    for project, (as_of, daily, periods) in made:
        home.database.replace_day("spend_forecast", project, as_of, daily)
        home.database.replace_day("period_forecast", project, as_of, periods)
        add_day_metadata(context, as_of, summary(daily, periods))


@daily_asset(
    group="forecast",
    deps=["spend_forecast"],
    table="budget_status",
    description="Every budget of llmops.yaml: spent, where its period will end, the probability "
    "that it is over, the day it is used up, and what would bring it back.",
)
def budget_status(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.forecast.runs import budget_statuses
    from llmops_jobs.ledger.book import load_book

    home, nights = _window(context, deployment)
    options = (home.settings.forecast, home.settings.budgets, load_book(home.settings.ledger))
    made = _told(context, home, lambda p: budget_statuses(home.database, p, nights, *options))
    for project, (as_of, rows) in made:
        home.database.replace_day("budget_status", project, as_of, rows)
        at_risk = int(rows["status"].isin(["at_risk", "over"]).sum()) if len(rows) else 0
        add_day_metadata(context, as_of, {"dagster/row_count": len(rows), "at_risk": at_risk})


@daily_asset(
    group="forecast",
    deps=["spend_forecast"],
    table="anomaly",
    description="Scopes whose tokens or cost did not fit the forecast of the night before, with "
    "the false discovery rate held over all series, and the slices that explain it.",
)
def anomaly(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.forecast.runs import night_anomalies

    home, nights = _window(context, deployment)
    options = (home.settings.forecast, home.settings.budgets)
    made = _told(context, home, lambda p: night_anomalies(home.database, p, nights, *options))
    for project, (day, rows) in made:
        home.database.replace_day("anomaly", project, day, rows)
        add_day_metadata(context, day, {"dagster/row_count": len(rows)})


@daily_asset(
    group="forecast",
    deps=["spend_forecast"],
    table="forecast_score",
    description="The score-card: coverage, weighted interval score, MASE and bias of every "
    "forecast whose day has come, over the last 30 and 90 nights.",
)
def forecast_score(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.forecast.runs import forecast_scores, headline

    home, nights = _window(context, deployment)
    budgets = home.settings.budgets
    made = _told(context, home, lambda p: forecast_scores(home.database, p, nights, budgets))
    for project, (as_of, rows) in made:
        home.database.replace_day("forecast_score", project, as_of, rows)
        add_day_metadata(context, as_of, headline(rows))


@dg.asset_check(
    asset="spend_forecast",
    blocking=True,
    description="Every quantile is a number, none is negative, and they do not cross.",
)
def quantiles_are_sound(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.forecast.checks import unsound_forecasts

    nights = run_days(context)
    wrong = unsound_forecasts(deployment.open().database, min(nights), max(nights))
    return dg.AssetCheckResult(passed=wrong == 0, metadata={"rows": wrong})


@dg.asset_check(
    asset="forecast_score",
    description="The 80 and 95 % intervals of the last 30 nights held what they promise; a "
    "forecaster that has lost its calibration fails here.",
)
def forecast_is_calibrated(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.forecast.checks import lost_calibration

    last = run_days(context)[-1]
    lost = lost_calibration(deployment.open().database, last)
    return dg.AssetCheckResult(
        passed=not lost,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(lost) or "intervals hold what they promise",
        metadata={"scopes": len(lost)},
    )


def _window(
    context: dg.AssetExecutionContext, deployment: DeploymentResource
) -> tuple[Deployment, list[date]]:
    return deployment.open(), run_days(context)


def _told(
    context: dg.AssetExecutionContext,
    home: Deployment,
    nights_of: Callable[[str], Iterable[tuple[Any, ...]]],
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every project's nights as they are made, telling how far the run is."""
    asset, total = context.asset_key.to_user_string(), len(run_days(context))
    projects = home.projects()
    for number, project in enumerate(projects):
        for done, made in enumerate(nights_of(project.id)):
            progress.tell(asset, (number * total + done) // len(projects), total)
            yield project.id, made
    progress.tell(asset, total, total)
