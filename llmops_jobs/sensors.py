"""The sensors. They decide nothing: what is due was recorded in the database by an asset."""

from datetime import UTC, datetime

import dagster as dg

from llmops_jobs.jobs import delivery, nightly
from llmops_jobs.resources import DeploymentResource
from llmops_jobs.schedules import END_TAG, START_TAG


@dg.sensor(
    job=delivery,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a delivery run when messages are due. It sends nothing itself: a sensor "
    "that sent and died would send again.",
)
def deliver_alerts(
    context: dg.SensorEvaluationContext, deployment: DeploymentResource
) -> dg.SensorResult | dg.SkipReason:
    from llmops_jobs.alerts import outbox

    now = datetime.now(UTC)
    due = outbox.pending(deployment.open().database, now)
    if not due:
        return dg.SkipReason("no message is due")
    # The same due messages ask for one run a minute, however often the sensor ticks.
    return dg.SensorResult([dg.RunRequest(run_key=f"deliver:{now:%Y-%m-%dT%H:%M}")])


@dg.sensor(
    name="stale_days",
    job=nightly,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests runs over exactly the days whose copy is known to be out of date: one "
    "for each run of neighbouring days.",
)
def stale_days_sensor(
    context: dg.SensorEvaluationContext, deployment: DeploymentResource
) -> dg.SensorResult | dg.SkipReason:
    from llmops_jobs.langfuse.late import ranges, stale_days

    stale = stale_days(deployment.open().database)
    if not stale:
        return dg.SkipReason("no day is stale")
    # A failed run is asked for again the next day, not with every tick.
    today = datetime.now(UTC).date()
    return dg.SensorResult(
        [
            dg.RunRequest(
                run_key=f"stale:{first}:{last}:{today}",
                tags={START_TAG: first.isoformat(), END_TAG: last.isoformat()},
            )
            for first, last in ranges(stale)
        ]
    )


SENSORS: list[dg.SensorDefinition] = [deliver_alerts, stale_days_sensor]
