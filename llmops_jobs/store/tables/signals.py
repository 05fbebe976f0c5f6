"""How fast, how reliable, how well liked."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.dimensions import MEANING
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
from llmops_jobs.store.tables.views import each_count, view


def _level_and_metric() -> list[sa.Column]:
    return [
        text_key("level", "trace (end to end) or observation (one model call)", 16),
        text_key("metric", "latency, time_to_first_token (seconds), tokens_per_second", 32),
    ]


def _intervals() -> list[sa.Column]:
    return [
        number(f"p{q}_{side}", f"{side} end of the 95 % interval of p{q}")
        for q in (50, 90, 95, 99)
        for side in ("low", "high")
    ]


def _histogram() -> list[sa.Column]:
    return [
        count("n", "values"),
        number("gamma", "base of the mapping: (1 + a) / (1 - a) with relative error a"),
        text("counts", "JSON object: bucket, ceil(log_gamma(value)), to the number of its values"),
    ]


latency_daily = sa.Table(
    "latency_daily",
    METADATA,
    project(),
    day(),
    *dimensions(*_level_and_metric()),
    count("n", "values"),
    *(number(f"p{q}", f"exact {q}th percentile; s, or tokens/s") for q in (50, 90, 95, 99)),
    *_intervals(),
    comment="one row per project, day, dimensions, level and metric",
    sqlite_with_rowid=False,
)

latency_sketch = sa.Table(
    "latency_sketch",
    METADATA,
    project(),
    day(),
    *dimensions(*_level_and_metric()),
    *_histogram(),
    comment="mergeable histogram of every cell of latency_daily; latency_histogram takes it apart",
)

latency_histogram = view(
    "latency_histogram",
    each_count(latency_sketch.c.counts),
    [column for column in latency_sketch.c if column.name not in ("n", "counts")],
    comment="view of latency_sketch: one row per cell of latency_daily and bucket",
)

latency_scope = sa.Table(
    "latency_scope",
    METADATA,
    project(),
    day(),
    text_key("scope", "total, or dimension=value"),
    *_level_and_metric(),
    *_histogram(),
    *(
        number(f"p{q}", f"{q}th percentile within the error; s, or tokens/s")
        for q in (50, 90, 95, 99)
    ),
    *_intervals(),
    comment="histograms of latency_sketch added up: one row per project, day, scope, level, metric",
)

error_daily = sa.Table(
    "error_daily",
    METADATA,
    project(),
    day(),
    *dimensions(
        text_key("error_type", "class of the taxonomy; '' for calls without an error", 64),
        text_key("family_id", "stable id of the error's template; '' without an error", 64),
    ),
    count("requests", "model calls that ended so"),
    count("errors", "of them errors: the same, or 0 where error_type is ''"),
    count("logical_calls", "logical calls (attempts grouped) whose first error it was"),
    count("attempts", "attempts of those logical calls"),
    count("recovered", "of those logical calls, the ones whose last attempt succeeded"),
    usd("wasted_usd", "spend on calls that ended so and were of no use, USD"),
    comment="one row per project, day, dimensions, error type and family; every call is in one row",
)

tool_daily = sa.Table(
    "tool_daily",
    METADATA,
    project(),
    day(),
    text_key("environment", MEANING["environment"]),
    text_key("feature", MEANING["feature"]),
    text_key("tenant", MEANING["tenant"]),
    sa.Column("is_evaluation", sa.Boolean, primary_key=True, comment=MEANING["is_evaluation"]),
    text_key("type", "TOOL, RETRIEVER or GUARDRAIL", 16),
    text_key("tool", "name of the observation"),
    text_key("error_type", "tool_error; '' for calls without an error", 64),
    text_key("family_id", "stable id of the error's template; '' without an error", 64),
    count("calls", "calls that ended so"),
    count("errors", "of them errors"),
    comment="one row per project, day, tool, dimensions and family: calls that are no model calls",
)

error_family = sa.Table(
    "error_family",
    METADATA,
    project(),
    text_key("family_id", "stable id", 64),
    text("error_type", "class of the taxonomy; tool_error for failures of tools"),
    text("template", "the message with its variable parts masked; no words of users"),
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
    *dimensions(
        text_key(
            "waste_reason", "schema_invalid, failed, superseded, truncated or user_rejected", 32
        )
    ),
    count("requests", "model calls"),
    usd("wasted_usd", "USD"),
    comment="one row per project, day, dimensions and reason of waste; a call has one reason",
)

rate_limit_hourly = sa.Table(
    "rate_limit_hourly",
    METADATA,
    project(),
    day(),
    text_key("provider", "who served the model"),
    sa.Column("hour", sa.Integer, primary_key=True, comment="UTC hour of the call's start, 0-23"),
    count("requests", "model calls"),
    count("errors", "of them errors"),
    count("rate_limited", "of them refused for a rate limit or quota (HTTP 429)"),
    number("share", "rate_limited / requests"),
    number("share_low", "lower end of the 95 % Wilson interval"),
    number("share_high", "upper end of the 95 % Wilson interval"),
    comment="one row per project, day, provider and hour",
)

trace_daily = sa.Table(
    "trace_daily",
    METADATA,
    project(),
    day(comment="UTC day of the trace's root"),
    *dimensions(),
    count("traces", "traces"),
    count("failed", "traces whose answering call ended in an error"),
    comment="one row per project, day and dimensions of the trace: what could have been rated",
)

feedback_given = sa.Table(
    "feedback_given",
    METADATA,
    project(),
    day(comment="UTC day of the rated trace"),
    day("given_day", "UTC day on which the votes were given"),
    *dimensions(
        text_key("score_name", "name of the score"),
        text_key("source", "API (users), ANNOTATION (reviewers) or EVAL", 16),
    ),
    count("n", "scores"),
    count("positive", "positive votes"),
    count("negative", "negative votes"),
    count("neutral", "votes neither for nor against"),
    count("valued", "scores with a number"),
    number("total", "sum of their values"),
    count("traces", "distinct traces rated on that day"),
    comment="feedback_daily by the day on which it was given: sums up to any day as of it",
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
    count("n", "votes; scores where the score is no vote (free text, other categories)"),
    count("positive", "positive votes"),
    count("negative", "negative votes; the rest of n is neutral"),
    number("rate", "positive / n; null where the score is no vote"),
    number("rate_low", "lower end of the 95 % Wilson interval"),
    number("rate_high", "upper end of the 95 % Wilson interval"),
    number("shrunk_rate", "rate after empirical-Bayes shrinkage to the day's rate of the score"),
    number("mean_value", "mean of the values of numeric scores"),
    count("rated_traces", "traces with such a score"),
    count("traces", "traces of the cell, rated or not"),
    number("response_rate", "rated_traces / traces"),
    comment="one row per project, day, dimensions, score and source; no vote is never a no",
)

feedback_label_daily = sa.Table(
    "feedback_label_daily",
    METADATA,
    project(),
    day(comment="UTC day on which the score was given"),
    text_key("score_name", "name of the categorical score"),
    text_key("source", "API (users), ANNOTATION (reviewers) or EVAL", 16),
    text_key("feature", "feature of the rated trace"),
    text_key("label", "category, cut to 100 characters"),
    count("n", "scores"),
    comment="one row per project, day, score, source, feature and category",
)

feedback_moment = sa.Table(
    "feedback_moment",
    METADATA,
    project(),
    day(comment="UTC day of the trace"),
    day("given_day", "UTC day on which it was rated; the trace's day for all traces"),
    text_key("traces", "all, or rated by users", 8),
    text_key("trait", "what is compared; times and lengths as natural logarithms", 32),
    count("n", "traces"),
    number("total", "sum of the trait"),
    number("squares", "sum of its squares"),
    comment="sums behind feedback_bias: they add up over days",
)

feedback_bias = sa.Table(
    "feedback_bias",
    METADATA,
    project(),
    day(comment="UTC day of the traces"),
    text_key("trait", "what is compared", 32),
    count("rated", "traces that users rated"),
    count("unrated", "traces that nobody rated"),
    number("rated_mean", "mean of the rated; geometric mean of times and lengths"),
    number("unrated_mean", "mean of the unrated"),
    number("difference", "standardized: difference of means / pooled standard deviation"),
    number("low", "lower end of its 95 % interval"),
    number("high", "upper end of its 95 % interval"),
    sa.Column("matters", sa.Boolean, nullable=False, comment="surely beyond 0.1 either way"),
    comment="are rated traces like the others: one row per project, day and trait",
)

unit_cost_daily = sa.Table(
    "unit_cost_daily",
    METADATA,
    project(),
    day(),
    text_key("scope", "total, or dimension=value"),
    text_key("unit", "successful_request, positive_feedback, passed_evaluation, session", 32),
    number("n", "units; estimated from the sample for passed_evaluation"),
    usd("cost_usd", "spend of the scope's traces, USD"),
    number("usd_per_unit", "USD"),
    number("low", "lower end of the 95 % interval"),
    number("high", "upper end of the 95 % interval; null where units are too few to say"),
    comment="what an outcome costs: one row per project, day, scope and unit",
)
