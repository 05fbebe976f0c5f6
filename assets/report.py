"""The group `report`: what people open in the morning."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, run_days
from llmops_jobs import progress
from llmops_jobs.report.publish import Published
from llmops_jobs.resources import DeploymentResource


@daily_asset(
    group="report",
    table="report",
    kinds={"python", "html"},
    deps=[
        "reconciliation",
        "usage_daily",
        "spend_change",
        "latency_daily",
        "error_daily",
        "feedback_daily",
        "unit_cost_daily",
        "quality_daily",
        "drift",
        "spend_forecast",
        "budget_status",
        "anomaly",
        "forecast_score",
        "version_comparison",
        "change_point",
        "incident",
    ],
    description="Quality, cost, speed and trust on one page: a report a day, and those of the "
    "weeks and months that the days belong to, as HTML, Markdown and JSON.",
)
def report(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.report.publish import publish
    from llmops_jobs.report.site import Site
    from llmops_jobs.report.tell import tell

    home = deployment.open()
    days = run_days(context)
    site = Site(home.settings.reports_url)
    projects = [project.id for project in home.projects()]
    made = 0
    for done in publish(
        home.database,
        home.settings.report,
        site,
        projects,
        min(days),
        max(days),
        alerts=home.settings.alerts,
        lake=home.lake if home.settings.report.include_text else None,
    ):
        if done.report.period.kind == "day":
            made += 1
            progress.tell("report", made, len(days) * len(projects))
            metadata = _metadata(done, site.address(done.path))
            add_day_metadata(context, done.report.period.last, metadata)
            address = site.address(done.path)
            tell(home.database, home.settings.alerts, done.report, address, now=datetime.now(UTC))


def _metadata(done: Published, address: str) -> dict[str, Any]:
    """Numbers that the UI plots over the days, the verdict, and the way to the page."""
    from llmops_jobs.report.faces.markdown import digest

    numbers = done.report.summary
    plotted = {
        "spend_usd": numbers.spend_usd,
        "latency_p95_s": numbers.latency_p95_s,
        "quality": numbers.quality,
        "error_rate": numbers.error_rate,
        "feedback_rate": numbers.feedback_rate,
        "open_incidents": numbers.open_incidents,
        "probability_over_budget": numbers.probability_over_budget,
    }
    local = "://" not in address
    return {
        **{name: float(value) for name, value in plotted.items() if value is not None},
        "verdict": dg.MetadataValue.md(digest(done.report)),
        "page": dg.MetadataValue.path(address) if local else dg.MetadataValue.url(address),
        "changed": done.changed,
    }
