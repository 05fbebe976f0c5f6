"""The group `health`: the pipeline looks at itself, last of all; its checks stop nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from assets._daily import WARN, add_day_metadata, daily_asset, run_days
from llmops_jobs.resources import DeploymentResource


@daily_asset(
    group="health",
    deps=["report", "incident", "reconciliation"],
    table="heartbeat",
    description="The pipeline's own state after the run: what each day's pulls came to, what is "
    "stale or unexplained, messages given up, parts that are silent, disk. `llmops metrics` has "
    "the figures.",
)
def health(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.health import beat, by_day, standing

    home, now = deployment.open(), datetime.now(UTC)
    found = standing(home, now)
    beat(home.database, found, now)
    wrong = {f"problems of {part}": len(each) for part, each in found.items()}
    for day, figures in by_day(home.database, run_days(context)).items():
        add_day_metadata(context, day, {**figures, **wrong})


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset="health", description=text)
        for name, text in (
            ("copy", "Yesterday is here, no day is stale, and copy and source agree."),
            ("messages", "Every message could be delivered."),
            ("parts", "Every part that must stay alive was alive within 30 hours."),
            ("disk", "The lake's file system has a tenth of room left."),
            ("pace", "The run took less than twice what the last nights over as many days took."),
        )
    ],
    name="the_pipeline_is_well",
)
def the_pipeline_is_well(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> Iterator[dg.AssetCheckResult]:
    from llmops_jobs.health import slowness, standing

    now = datetime.now(UTC)
    slow = slowness(context.instance, context.op_execution_context.run_id, now)
    for name, wrong in {**standing(deployment.open(), now), "pace": [slow] if slow else []}.items():
        yield dg.AssetCheckResult(
            check_name=name,
            asset_key="health",
            passed=not wrong,
            severity=WARN,
            description="; ".join(wrong[:5]) or "well",
            metadata={"problems": len(wrong)},
        )
