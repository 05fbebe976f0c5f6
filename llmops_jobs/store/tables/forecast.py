"""Where the month is heading, what the budget says, and what did not fit."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import count, day, number, project, text, text_key, usd
from llmops_jobs.store.tables.metadata import METADATA

_QUANTILES = (("p025", 2.5), ("p10", 10), ("p25", 25), ("p50", 50), ("p75", 75), ("p90", 90))


def _distribution(mean: str) -> list[sa.Column[float]]:
    return [
        number("mean", mean),
        *(number(name, f"{q} % quantile") for name, q in (*_QUANTILES, ("p975", 97.5))),
    ]


_METRIC = "tokens (in and out), cost_usd, or a type of token such as cache_read_tokens"

spend_forecast = sa.Table(
    "spend_forecast",
    METADATA,
    project(),
    day("as_of", "last day seen by the forecast"),
    text_key("scope", "total, or dimension=value; dimension=(other) is the rest of a dimension"),
    day("target_day", "day forecast"),
    text_key("metric", _METRIC, 32),
    count("horizon", "target_day - as_of, days"),
    *_distribution("expected value"),
    number("widened", "factor by which the interval was widened after the score-card"),
    text("method", "models combined, told on the first day ahead"),
    comment="one row per project, as_of, scope, target day and metric; kept for the score-card",
)

period_forecast = sa.Table(
    "period_forecast",
    METADATA,
    project(),
    day("as_of", "last day seen by the forecast"),
    text_key("scope", "total, or dimension=value"),
    text_key("period", "calendar period, UTC: 2026-11, 2026-W48 or 2026-Q4"),
    text_key("metric", _METRIC, 32),
    number("to_date", "actual of the period so far"),
    *_distribution("expected value of the whole period"),
    count("days_missing", "days of the period so far that were not copied; they are estimated"),
    comment="sums over a calendar period, from sample paths",
)

budget_status = sa.Table(
    "budget_status",
    METADATA,
    project(),
    day("as_of", "last day seen"),
    text_key("budget", "name of the budget"),
    text("scope", "total, or dimension=value"),
    sa.Column("period_start", sa.Date, comment="first day of the period"),
    sa.Column("period_end", sa.Date, comment="first day after the period"),
    text("time_zone", "in which the period's days are meant"),
    usd("amount_usd", "the budget, USD"),
    usd("spent_usd", "spent so far in the period, USD"),
    usd("forecast_p10_usd", "at the period's end, USD"),
    usd("forecast_p50_usd", "at the period's end, USD"),
    usd("forecast_p90_usd", "at the period's end, USD"),
    number("probability_over", "probability that the period ends over budget"),
    sa.Column("exhausted_on", sa.Date, comment="median day on which the budget is used up"),
    number("burn_rate", "spend rate / rate that would just use the budget"),
    number("threshold", "largest configured share of the amount that was passed; 0 for none"),
    text("status", "ok, at_risk, over, no_data"),
    text("owner", "who answers for it"),
    text("advice", "what would bring it back"),
    comment="one row per project, as_of and budget",
)

forecast_score = sa.Table(
    "forecast_score",
    METADATA,
    project(),
    day("as_of", "last day seen"),
    text_key("scope", "total, or dimension=value"),
    sa.Column("window", sa.Integer, primary_key=True, comment="nights scored: 30 or 90"),
    text_key("metric", "tokens or cost_usd", 32),
    count("n", "forecasts scored"),
    count("nights", "days that were forecast and have come"),
    number("coverage_50", "share of actuals inside the 50 % interval"),
    number("coverage_80", "share inside the 80 % interval"),
    number("coverage_95", "share inside the 95 % interval"),
    number("wis", "mean weighted interval score, in units of the metric"),
    number("mase", "mean absolute error over that of the seasonal naive forecast"),
    number("bias", "mean (forecast - actual) / mean actual"),
    comment="the score-card: forecasts made against what came",
)

anomaly = sa.Table(
    "anomaly",
    METADATA,
    project(),
    day(),
    text_key("scope", "total, or dimension=value"),
    text_key("metric", "tokens or cost_usd", 32),
    text("kind", "spike, drop or new"),
    number("value", "what came"),
    number("expected", "median of the one-day-ahead forecast"),
    number("low", "2.5 % quantile of it"),
    number("high", "97.5 % quantile of it"),
    number("p_value", "two-sided, after Benjamini-Hochberg over the night's series"),
    text("cause", "the slices that explain it"),
    comment="one row per project, day, scope and metric that did not fit its forecast",
)

change_point = sa.Table(
    "change_point",
    METADATA,
    project(),
    day(comment="first day of the new level"),
    text_key("scope", "total, or dimension=value"),
    text_key("metric", "what changed"),
    sa.Column("detected_on", sa.Date, comment="day on which it was first reported"),
    number("value", "level after"),
    number("expected", "level before"),
    number("effect", "after - before, relative for money and time, points for rates"),
    number("low", "lower end of the 95 % interval of the effect"),
    number("high", "upper end of the 95 % interval of the effect"),
    number("p_value", "of the change"),
    text("cause", "known event of that day, or ''"),
    comment="one row per project, scope, metric and lasting change",
)
