"""The metrics that a rule or an objective can name: a number per day and slice, with its n.

A value comes with `low` and `high`, its 99 % interval where it has one; a rule fires on the end of
the interval that must cross the bound, so that five calls wake nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmops_jobs.alerts.prices import price_index
from llmops_jobs.alerts.series import (
    Series,
    copied,
    pass_rate,
    percentile,
    ratio,
    share,
    slow,
    votes,
)

Unit = Literal["share", "usd", "s", "count", "times"]


@dataclass(frozen=True)
class Metric:
    """`mass` is the column of usage_daily whose slices say who contributes; `live` how the watch
    measures it over minutes, '' where it cannot."""

    topic: str
    unit: Unit
    says: str
    series: Series
    mass: str = "requests"
    countable: bool = False
    timed: bool = False
    live: str = ""


METRICS: dict[str, Metric] = {
    "error_rate": Metric(
        "errors",
        "share",
        "failed model calls",
        share("usage_daily", "errors", "requests"),
        "errors",
        countable=True,
        live="failed",
    ),
    "rate_limited_share": Metric(
        "errors",
        "share",
        "model calls refused for a rate limit",
        share("error_daily", "requests", "requests", lambda c: c.error_type == "rate_limit"),
        "errors",
        countable=True,
    ),
    "unpriced_share": Metric(
        "prices",
        "share",
        "model calls without a price",
        share("usage_daily", "requests", "requests", lambda c: c.price_status == "unpriced"),
        countable=True,
    ),
    "cost_usd": Metric(
        "spend",
        "usd",
        "spend",
        ratio("usage_daily", ["cost_usd"], []),
        "cost_usd",
        live="cost_usd",
    ),
    "requests": Metric("traffic", "count", "model calls", ratio("usage_daily", ["requests"], [])),
    "cost_per_request": Metric(
        "spend",
        "usd",
        "cost of a model call",
        ratio("usage_daily", ["cost_usd"], ["requests"]),
        "cost_usd",
    ),
    "cost_per_million_tokens": Metric(
        "prices",
        "usd",
        "cost of a million tokens",
        ratio("usage_daily", ["cost_usd"], ["input_tokens", "output_tokens"]),
        "cost_usd",
    ),
    "price_index": Metric(
        "prices",
        "times",
        "price of the same tokens, against the two weeks before",
        price_index,
        "cost_usd",
    ),
    "input_tokens_per_request": Metric(
        "tokens",
        "count",
        "input tokens of a model call",
        ratio("usage_daily", ["input_tokens"], ["requests"]),
        "input_tokens",
    ),
    "output_tokens_per_request": Metric(
        "tokens",
        "count",
        "output tokens of a model call",
        ratio("usage_daily", ["output_tokens"], ["requests"]),
        "output_tokens",
    ),
    "cache_hit_share": Metric(
        "tokens",
        "share",
        "input tokens served from cache",
        ratio("usage_daily", ["cache_read_tokens"], ["input_tokens"]),
        "input_tokens",
    ),
    "wasted_usd": Metric(
        "errors",
        "usd",
        "spend that was of no use",
        ratio("waste_daily", ["wasted_usd"], []),
        "cost_usd",
    ),
    "positive_rate": Metric(
        "feedback",
        "share",
        "votes of users that are positive",
        votes,
        countable=True,
    ),
    "pass_rate": Metric("quality", "share", "answers that pass", pass_rate, countable=True),
    "latency": Metric(
        "speed",
        "share",
        "traces slower than the objective",
        slow("trace", "latency"),
        countable=True,
        timed=True,
        live="latency_s of traces",
    ),
    "time_to_first_token": Metric(
        "speed",
        "share",
        "model calls slower to their first token than the objective",
        slow("observation", "time_to_first_token"),
        countable=True,
        timed=True,
        live="time_to_first_token_s",
    ),
    **{
        f"{name}_p{q}": Metric(
            "speed",
            "s",
            f"{says}, {q}th percentile",
            percentile(level, metric, q / 100),
            live="percentile" if level == "observation" else "",
        )
        for name, level, metric, says in (
            ("latency", "trace", "latency", "end-to-end latency"),
            ("call_latency", "observation", "latency", "latency of a model call"),
            ("time_to_first_token", "observation", "time_to_first_token", "time to first token"),
        )
        for q in (50, 95, 99)
    },
    "late_share": Metric("data", "share", "rows that came late", copied("late_rows")),
    "duplicate_share": Metric(
        "data", "share", "rows that the source sent twice", copied("duplicates")
    ),
}
# The metrics that are kept by one dimension at a time, and those that have none.
ONE_DIMENSION = frozenset({"pass_rate"})
NO_DIMENSION = frozenset({"late_share", "duplicate_share"})
