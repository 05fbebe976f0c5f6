"""How fast, how reliable, how well liked."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import (
    count,
    day,
    dimensions,
    number,
    project,
    text,
    text_key,
    usd,
)
from llmops_jobs.store.tables.metadata import METADATA


def _cell() -> list[sa.Column]:
    return dimensions(
        text_key("level", "trace (end to end) or observation (one model call)", 16),
        text_key("metric", "latency, time_to_first_token (seconds), tokens_per_second", 32),
    )


latency_daily = sa.Table(
    "latency_daily",
    METADATA,
    project(),
    day(),
    *_cell(),
    count("n", "values"),
    *(number(f"p{q}", f"exact {q}th percentile; s, or tokens/s") for q in (50, 90, 95, 99)),
    *(
        number(f"p{q}_{side}", f"{side} end of the 95 % interval of p{q}")
        for q in (50, 90, 95, 99)
        for side in ("low", "high")
    ),
    comment="one row per project, day, dimensions, level and metric",
)

latency_histogram = sa.Table(
    "latency_histogram",
    METADATA,
    project(),
    day(),
    *_cell(),
    sa.Column("bucket", sa.Integer, primary_key=True, comment="ceil(log_gamma(value))"),
    count("n", "values in the bucket"),
    number("gamma", "base of the mapping: (1 + a) / (1 - a) with relative error a"),
    comment="mergeable histogram: one row per cell of latency_daily and bucket",
)

error_daily = sa.Table(
    "error_daily",
    METADATA,
    project(),
    day(),
    *dimensions(
        text_key("error_type", "class of the taxonomy; '' counts the calls of the cell", 64),
        text_key("family_id", "stable id of the error's template", 64),
    ),
    count("errors", "model calls that ended in this error"),
    count("logical_calls", "logical calls (attempts grouped) with such an attempt"),
    count("attempts", "attempts of those logical calls"),
    count("recovered", "logical calls that succeeded in a later attempt"),
    usd("wasted_usd", "spend on attempts that were of no use, USD"),
    comment="one row per project, day, dimensions, error type and family",
)

error_family = sa.Table(
    "error_family",
    METADATA,
    project(),
    text_key("family_id", "stable id", 64),
    text("error_type", "class of the taxonomy"),
    text("template", "the message with its variable parts masked"),
    sa.Column("first_seen", sa.Date, comment="first day"),
    sa.Column("last_seen", sa.Date, comment="last day"),
    text("example_trace_id", "a trace that shows it"),
    comment="one row per family of errors",
)

waste_daily = sa.Table(
    "waste_daily",
    METADATA,
    project(),
    day(),
    *dimensions(text_key("waste_reason", "failed, superseded, truncated, schema_invalid, ...", 32)),
    count("requests", "model calls"),
    usd("wasted_usd", "USD"),
    comment="one row per project, day, dimensions and reason of waste",
)

feedback_daily = sa.Table(
    "feedback_daily",
    METADATA,
    project(),
    day(comment="UTC day of the rated trace"),
    *dimensions(
        text_key("score_name", "name of the score"),
        text_key("source", "API (users), ANNOTATION (reviewers) or EVAL", 16),
    ),
    count("n", "votes"),
    count("positive", "positive votes"),
    number("rate", "positive / n; mean for stars"),
    number("rate_low", "lower end of the 95 % Wilson interval"),
    number("rate_high", "upper end of the 95 % Wilson interval"),
    number("shrunk_rate", "rate after empirical-Bayes shrinkage to the score's mean"),
    count("traces", "traces that could have been rated"),
    number("response_rate", "rated traces / traces"),
    comment="one row per project, day, dimensions, score and source; no vote is never a no",
)

unit_cost_daily = sa.Table(
    "unit_cost_daily",
    METADATA,
    project(),
    day(),
    text_key("scope", "total, or dimension=value"),
    text_key("unit", "successful_request, positive_feedback, passed_evaluation, session", 32),
    count("n", "units"),
    usd("cost_usd", "spend of the scope, USD"),
    number("usd_per_unit", "USD"),
    number("low", "lower end of the 95 % interval"),
    number("high", "upper end of the 95 % interval"),
    comment="what an outcome costs: one row per project, day, scope and unit",
)
