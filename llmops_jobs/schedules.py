"""When the nightly job runs, and over which days."""

from datetime import timedelta

import dagster as dg

from llmops_jobs.config import load
from llmops_jobs.jobs import nightly, upkeep

START_TAG = "dagster/asset_partition_range_start"
END_TAG = "dagster/asset_partition_range_end"


@dg.schedule(
    name="nightly_schedule",
    job=nightly,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night: yesterday, and again the days on which data may have come late.",
)
def nightly_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    last = context.scheduled_execution_time.date() - timedelta(days=1)
    first = last - timedelta(days=load().ingest.lookback_days)
    return dg.RunRequest(
        run_key=f"nightly:{last}",
        tags={START_TAG: first.isoformat(), END_TAG: last.isoformat()},
    )


upkeep_schedule = dg.ScheduleDefinition(
    name="upkeep_schedule",
    job=upkeep,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Daily, after the night: removes what no reader of the lake needs any more.",
)

SCHEDULES = [nightly_schedule, upkeep_schedule]
