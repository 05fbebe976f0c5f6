"""The group `signals`: how calls ended, how fast they were, how well liked, what outcomes cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, each_batch
from llmops_jobs.deployment import Deployment
from llmops_jobs.resources import DeploymentResource

Step = Callable[[Deployment, str, Sequence[date]], Iterator[tuple[date, Mapping[str, Any]]]]


def _run(context: dg.AssetExecutionContext, deployment: DeploymentResource, step: Step) -> None:
    """Runs a step over the run's days, small days together."""
    for home, project, days in each_batch(context, deployment):
        for day, metadata in step(home, project, days):
            add_day_metadata(context, day, metadata)


@daily_asset(
    group="signals",
    deps=["observations", "observation_text", "scores", "costs"],
    kinds={"deltalake", "duckdb"},
    table="outcomes",
    description="How every model call ended: class and family of its error, its attempts as one "
    "logical call, and why it was waste.",
)
def outcomes(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.signals.nightly import write_outcomes

    _run(context, deployment, write_outcomes)


@daily_asset(
    group="signals",
    deps=["observations"],
    kinds={"duckdb"},
    table="latency_daily",
    description="Exact percentiles of latency, time to first token and tokens per second, of "
    "calls and end to end, with intervals; mergeable histograms for every other slice and period.",
)
def latency_daily(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.signals.nightly import write_latency

    _run(context, deployment, write_latency)


@daily_asset(
    group="signals",
    deps=["outcomes"],
    kinds={"duckdb"},
    table="error_daily",
    description="Errors by class and family, retries and what they recovered, wasted spend, rate "
    "limits by the hour, and the families of errors ever seen.",
)
def error_daily(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.signals.nightly import write_errors

    _run(context, deployment, write_errors)


@daily_asset(
    group="signals",
    deps=["observations", "scores", "latency_daily"],
    kinds={"duckdb"},
    table="feedback_daily",
    description="Votes of users and of reviewers on the day of what they rate, with intervals, "
    "shrinkage and response rate; a late vote brings its earlier day up to date.",
)
def feedback_daily(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.signals.nightly import write_feedback

    _run(context, deployment, write_feedback)


@daily_asset(
    group="signals",
    deps=["costs", "feedback_daily", "score"],
    kinds={"duckdb"},
    table="unit_cost_daily",
    description="Spend per successful request, positive vote, passed evaluation and session, in "
    "total and by every dimension, with intervals.",
)
def unit_cost_daily(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.signals.nightly import write_unit_cost

    _run(context, deployment, write_unit_cost)


def _check(
    context: dg.AssetCheckExecutionContext,
    deployment: DeploymentResource,
    find: Callable[[Deployment, Sequence[date]], list[str]],
    right: str,
) -> dg.AssetCheckResult:
    days = [date.fromisoformat(key) for key in context.partition_keys]
    wrong = find(deployment.open(), days)
    return dg.AssetCheckResult(
        passed=not wrong,
        description="; ".join(wrong[:5]) or right,
        metadata={"breaches": len(wrong)},
    )


@dg.asset_check(
    asset="outcomes", blocking=True, description="Every model call of a day has one outcome."
)
def every_call_has_an_outcome(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import calls_without_outcome

    return _check(context, deployment, calls_without_outcome, "every call has one")


@dg.asset_check(
    asset="latency_daily",
    description="Percentiles and histograms hold every call that has a latency, once.",
)
def every_latency_is_measured(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import calls_not_measured

    return _check(context, deployment, calls_not_measured, "every latency is in one bucket")


@dg.asset_check(
    asset="error_daily", description="Every call, attempt and error of the lake is counted once."
)
def every_call_is_counted(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import calls_not_counted

    return _check(context, deployment, calls_not_counted, "every call is counted once")


@dg.asset_check(asset="feedback_daily", description="No cell has more votes than it can have.")
def votes_add_up(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import impossible_rates

    return _check(context, deployment, impossible_rates, "votes add up")
