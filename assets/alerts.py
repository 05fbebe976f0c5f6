"""The group `alerts`: incidents decided and recorded; delivery is a job of its own."""

from datetime import UTC, datetime

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, run_days
from llmops_jobs.resources import DeploymentResource


@daily_asset(
    group="alerts",
    table="incident",
    deps=[
        "usage_daily",
        "error_daily",
        "latency_daily",
        "feedback_daily",
        "quality_daily",
        "drift",
        "budget_status",
        "anomaly",
        "change_point",
        "version_seen",
        "version_comparison",
        "reconciliation",
    ],
    description="Incidents: every rule over the day's marts, one incident per cause, and the "
    "messages about them queued in the same transaction.",
)
def incident(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.alerts.evaluate import evaluate_days

    home = deployment.open()
    days = run_days(context)
    for project in home.projects():
        for done in evaluate_days(
            home.database,
            home.settings.alerts,
            project.id,
            days[0],
            days[-1],
            now=datetime.now(UTC),
            lake=home.lake,
            base_url=project.base_url,
        ):
            add_day_metadata(context, done.day, done.metadata())
