"""The group `versions`: what ran, how versions compare, and lasting changes with their cause."""

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, each_day, last_day
from llmops_jobs.resources import DeploymentResource


@daily_asset(
    group="versions",
    table="version_seen",
    deps=["observations"],
    description="Every combination of prompt version, model, parameters, release and tools seen "
    "in traffic, with its share and the day it was first seen.",
)
def version_seen(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.versions.nightly import snapshot_labels
    from llmops_jobs.versions.registry import combinations, first_seen_before, version_seen

    opened = deployment.open()
    for project_keys in opened.projects():
        snapshot_labels(opened.database, project_keys, last_day(context))
    for home, project, day in each_day(context, deployment):
        combined = home.engine.run(combinations, home.lake, project, [day]).to_pandas()
        rows = version_seen(combined, first_seen_before(home.database, project, day), day)
        home.database.replace_day("version_seen", project, day, rows)
        new = int((rows["first_seen"] == day).sum())
        add_day_metadata(context, day, {"dagster/row_count": len(rows), "new_combinations": new})


@daily_asset(
    group="versions",
    table="version_comparison",
    deps=["observations", "scores", "costs", "score", "version_seen"],
    description="Prompt and model versions against each other on real traffic: differences with "
    "intervals that may be read every morning, adjusted for mix and clustered by user.",
)
def version_comparison(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.versions.compare import WINDOW, compare
    from llmops_jobs.versions.nightly import propose_rollbacks
    from llmops_jobs.versions.traffic import Traffic

    traffic: dict[str, Traffic] = {}
    for home, project, day in each_day(context, deployment):
        if project not in traffic:
            traffic[project] = Traffic(home, project, last_day(context))
        seen = traffic[project]
        night = compare(seen.window(day, WINDOW), day, home.settings.versions, seen.models)
        rows = night.comparisons
        home.database.replace_day("version_comparison", project, day, rows)
        home.database.replace_day("version_balance", project, day, night.balance)
        propose_rollbacks(home.database, project, day, rows)
        worse = int((rows["verdict"] == "worse").sum()) if len(rows) else 0
        add_day_metadata(context, day, {"dagster/row_count": len(rows), "worse": worse})


@daily_asset(
    group="versions",
    table="change_point",
    deps=["observations", "usage_daily", "quality_daily", "feedback_daily", "version_seen"],
    description="Lasting changes of spend (its level and its trend), cost per request, tokens, "
    "error rate, speed, quality and feedback, with the day, the size and what happened then.",
)
def change_point(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.versions.events import events_of
    from llmops_jobs.versions.nightly import changes_of, record_changes
    from llmops_jobs.versions.series import Series

    series: dict[str, Series] = {}
    events = {}
    for home, project, day in each_day(context, deployment):
        if project not in series:
            series[project] = Series(home, project, day, last_day(context))
            events[project] = events_of(home, project, last_day(context))
        rows = changes_of(home, series[project], events[project], project, day)
        record_changes(home.database, project, day, rows)
        add_day_metadata(context, day, {"dagster/row_count": len(rows)})
