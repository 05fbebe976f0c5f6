"""The group `signals`: how calls ended, how fast they were, how well liked, what outcomes cost."""

import dagster as dg

from assets._daily import check_days, daily_asset, run_step
from llmops_jobs.resources import DeploymentResource


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

    run_step(context, deployment, write_outcomes)


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

    run_step(context, deployment, write_latency)


@daily_asset(
    group="signals",
    deps=["outcomes"],
    kinds={"duckdb"},
    table="error_daily",
    description="Errors by class and family, retries and what they recovered, wasted spend, rate "
    "limits by the hour, failures of tools, and the families of errors ever seen.",
)
def error_daily(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.signals.nightly import write_errors

    run_step(context, deployment, write_errors)


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

    run_step(context, deployment, write_feedback)


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

    run_step(context, deployment, write_unit_cost)


@dg.asset_check(
    asset="outcomes", blocking=True, description="Every model call of a day has one outcome."
)
def every_call_has_an_outcome(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import calls_without_outcome

    return check_days(context, deployment, calls_without_outcome, "every call has one")


@dg.asset_check(
    asset="latency_daily",
    description="Percentiles and histograms hold every call that has a latency, once.",
)
def every_latency_is_measured(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import calls_not_measured

    return check_days(context, deployment, calls_not_measured, "every latency is in one bucket")


@dg.asset_check(
    asset="error_daily", description="Every call, attempt and error of the lake is counted once."
)
def every_call_is_counted(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import calls_not_counted

    return check_days(context, deployment, calls_not_counted, "every call is counted once")


@dg.asset_check(asset="feedback_daily", description="No cell has more votes than it can have.")
def votes_add_up(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.signals.checks import impossible_rates

    return check_days(context, deployment, impossible_rates, "votes add up")
