"""The sensors. They decide nothing: what is due was recorded in the database by an asset."""

from datetime import UTC, datetime

import dagster as dg

from llmops_jobs.jobs import delivery
from llmops_jobs.resources import DeploymentResource


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


SENSORS: list[dg.SensorDefinition] = [deliver_alerts]
