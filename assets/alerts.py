"""The group `alerts`: incidents decided and recorded; delivery is a job of its own."""

from datetime import UTC, datetime

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, each_day
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
        "budget_status",
        "anomaly",
        "change_point",
        "version_comparison",
        "reconciliation",
    ],
    description="Incidents: every rule over the day's marts, one incident per cause, and the "
    "messages about them queued in the same transaction.",
)
def incident(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.alerts.evaluate import evaluate_day

    for home, project, day in each_day(context, deployment):
        done = evaluate_day(
            home.database, home.settings.alerts, project, day, now=datetime.now(UTC)
        )
        add_day_metadata(
            context,
            day,
            {"rules_evaluated": done.looked, "firing": done.firing}
            | {"incidents_changed": done.changed, "messages_queued": done.queued},
        )
