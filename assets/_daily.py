"""What every daily asset shares: the partitions, one run for a whole range, the loop over days."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from assets._lineage import column_lineage
from llmops_jobs import progress
from llmops_jobs.days import yesterday
from llmops_jobs.deployment import Deployment
from llmops_jobs.partitions import DAILY
from llmops_jobs.resources import DeploymentResource

#: A night that did not come shows on the lineage page: late after 26 hours, failed after 30.
_NIGHTLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)
)
#: Of a check that is told and stops nothing.
WARN = dg.AssetCheckSeverity.WARN
#: From a project's days to each of them with its metadata.
Step = Callable[[Deployment, str, Sequence[date]], Iterator[tuple[date, Mapping[str, Any]]]]


def daily_asset(
    *,
    group: str,
    deps: list[str] | None = None,
    kinds: set[str] | None = None,
    table: str | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` with the house's partitions and backfill policy.

    `table` names the table, of the database or the lake, that the asset fills: its columns become
    the asset's column schema, and those that it carries on from its `deps` its column lineage. One
    asset without `single_run` would turn every backfill into a run a day.
    """
    metadata = dict(options.pop("metadata", {}))
    if table is not None:
        metadata["dagster/column_schema"] = column_schema(table)
        if lineage := column_lineage(table, deps):
            metadata["dagster/column_lineage"] = lineage
    return dg.asset(
        group_name=group,
        deps=deps,
        kinds=kinds or {"python"},
        partitions_def=DAILY,
        backfill_policy=dg.BackfillPolicy.single_run(),
        owners=["team:llmops"],
        freshness_policy=_NIGHTLY,
        metadata=metadata,
        **options,
    )


def run_days(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
    """The days of the run, in order. A check that is run by itself, as the UI offers, has no
    partitions: it looks at yesterday."""
    if context.has_partition_key or context.has_partition_key_range:
        return [date.fromisoformat(key) for key in context.partition_keys]
    return [yesterday()]


def each_day(
    context: dg.AssetExecutionContext, deployment: DeploymentResource
) -> Iterator[tuple[Deployment, str, date]]:
    """Every project and day of the run, days in order: (deployment, project id, day)."""
    opened = deployment.open()
    projects = opened.projects()
    asset = context.asset_key.to_user_string()
    days = run_days(context)
    for done, day in enumerate(days):
        progress.tell(asset, done, len(days))
        for project in projects:
            yield opened, project.id, day
    progress.tell(asset, len(days), len(days))


def each_batch(
    context: dg.AssetExecutionContext, deployment: DeploymentResource
) -> Iterator[tuple[Deployment, str, list[date]]]:
    """Every project's days of the run, small days together: see `llmops_jobs.lake.batches`."""
    from llmops_jobs.lake.batches import batches

    opened = deployment.open()
    projects = opened.projects()
    asset = context.asset_key.to_user_string()
    days = run_days(context)
    done = 0
    for project in projects:
        for batch in batches(opened.lake, project.id, days):
            progress.tell(asset, done // len(projects), len(days))
            yield opened, project.id, batch
            done += len(batch)
    progress.tell(asset, len(days), len(days))


def run_step(context: dg.AssetExecutionContext, deployment: DeploymentResource, step: Step) -> None:
    """A step over the run's days, small days together, each day's metadata as it is told."""
    for home, project, days in each_batch(context, deployment):
        for day, metadata in step(home, project, days):
            add_day_metadata(context, day, metadata)


def check_days(
    context: dg.AssetCheckExecutionContext,
    deployment: DeploymentResource,
    find: Callable[[Deployment, Sequence[date]], list[str]],
    right: str,
    *,
    counted: str = "found",
    advice: str = "",
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """What `find` finds wrong with the run's days: the first of it in words, then the advice; how
    much it is, as the metadata `counted`."""
    wrong = find(deployment.open(), run_days(context))
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=severity,
        description=_told(wrong) + advice if wrong else right,
        metadata={counted: len(wrong)},
    )


def last_day(context: dg.AssetExecutionContext) -> date:
    """The last day of the run: what a history read once per run has to reach."""
    return run_days(context)[-1]


def add_day_metadata(
    context: dg.AssetExecutionContext, day: date, metadata: Mapping[str, Any]
) -> None:
    """Metadata of one partition. In a run over a range, any other way shows the range's sum."""
    # numpy's numbers as Python's: Dagster knows only those.
    plain = {key: getattr(value, "item", lambda v=value: v)() for key, value in metadata.items()}
    context.add_asset_metadata(plain, partition_key=day.isoformat())


def column_schema(table: str) -> dg.TableSchema:
    """Columns of a table of the database or the lake, with their meaning, for the asset's page."""
    from llmops_jobs.lake.schema import TABLES as LAKE_TABLES
    from llmops_jobs.store.tables import TABLES

    if table in LAKE_TABLES:
        return dg.TableSchema(
            columns=[dg.TableColumn(field.name, str(field.type)) for field in LAKE_TABLES[table]]
        )
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, type=str(column.type), description=column.comment)
            for column in TABLES[table].columns
        ]
    )


def _told(wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
    return "; ".join(wrong[:_TOLD]) + more


_TOLD = 10
