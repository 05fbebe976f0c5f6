"""The group `signals`: how calls ended, how fast they were, how well liked, what outcomes cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, each_day
from llmops_jobs.deployment import Deployment
from llmops_jobs.resources import DeploymentResource

Step = Callable[[Deployment, str, Sequence[date]], Iterator[tuple[date, Mapping[str, Any]]]]


def _run(context: dg.AssetExecutionContext, deployment: DeploymentResource, step: Step) -> None:
    """Runs a step over the run's days, small days together: see signals.batches."""
    from llmops_jobs.signals.batches import batches

    windows: dict[str, list[date]] = {}
    home = deployment.open()
    for _, project, day in each_day(context, deployment):
        windows.setdefault(project, []).append(day)
    for project, days in windows.items():
        for batch in batches(home.lake, project, days):
            for day, metadata in step(home, project, batch):
                add_day_metadata(context, day, metadata)


@daily_asset(
    group="signals",
    deps=["observations", "observation_text", "scores", "costs"],
    kinds={"deltalake", "duckdb"},
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
    deps=["observations", "scores"],
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
