"""The rules that hold without being written: what anybody would want to be told.

Every one asks for a change that matters (a floor on its size), that is beyond chance (the end of
its 99 % interval) and beyond what the days before do by themselves (five robust standard
deviations of their values); the floors are set on replayed traffic, see docs/alerts.md.
"""

from __future__ import annotations

from llmops_jobs.alerts.settings import Rule

RULES: tuple[Rule, ...] = (
    *(
        Rule(
            name=f"error-rate-by-{by or 'day'}",
            metric="error_rate",
            by=(by,) if by else (),
            rises_by=0.03,
            minimum_n=100,
            severity="critical" if not by else "warning",
            fast=True,
        )
        for by in ("", "provider", "model", "feature", "tenant")
    ),
    Rule(
        name="first-token-by-model",
        metric="time_to_first_token_p50",
        by=("model",),
        rises_by=0.4,
        minimum_n=40,
        fast=True,
    ),
    Rule(
        name="latency-by-feature",
        metric="latency_p50",
        by=("feature",),
        rises_by=0.6,
        minimum_n=60,
    ),
    *(
        Rule(
            name=f"input-tokens-by-{by.replace('_', '-')}",
            metric="input_tokens_per_request",
            by=(by,),
            rises_by=0.3,
            minimum_n=60,
        )
        for by in ("prompt_name", "feature")
    ),
    *(
        Rule(
            name=f"spend-by-{by or 'day'}",
            metric="cost_usd",
            by=(by,) if by else (),
            rises_by=step,
            minimum_n=50,
            fast=True,
        )
        for by, step in (("", 0.6), ("feature", 1.0), ("tenant", 4.0))
    ),
    Rule(
        name="price-by-model",
        metric="price_index",
        by=("model",),
        rises_by=0.15,
        minimum_n=60,
    ),
    *(
        Rule(
            name=f"quality-by-{by.replace('_', '-') or 'day'}",
            metric="pass_rate",
            by=(by,) if by else (),
            falls_by=0.1,
            minimum_n=30,
        )
        for by in ("", "feature", "prompt_name")
    ),
    *(
        Rule(
            name=f"feedback-by-{by or 'day'}",
            metric="positive_rate",
            by=(by,) if by else (),
            falls_by=0.12,
            minimum_n=30,
        )
        for by in ("", "feature")
    ),
    Rule(name="late-data", metric="late_share", above=0.02, minimum_n=100, severity="info"),
    # A copy has none: half a percent counted twice is what an audit of the bill would find.
    Rule(
        name="duplicate-data", metric="duplicate_share", above=0.005, minimum_n=100, severity="info"
    ),
)
# The rules of `news` that need more than a metric.
NEWS: tuple[str, ...] = (
    "unpriced-model",
    "budget",
    "spend-anomaly",
    "data-completeness",
    "new-error-family",
    "model-swap",
    "change-point",
    "version-worse",
    "drift",
    "budget-pace",
)
# Written by the sensors.
SYSTEM: tuple[str, ...] = ("failed-run", "heartbeat")
NAMES: tuple[str, ...] = (*(rule.name for rule in RULES), *NEWS, *SYSTEM)
