"""The sensors. What has to be told is recorded in the database, in one transaction with the change
that it tells of; a tick that is repeated or lost changes nothing."""

import threading
from datetime import UTC, datetime

import dagster as dg

from llmops_jobs.errors import ConfigError
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
    due, waiting, dead = outbox.counts(deployment.open().database, now)
    if not due:
        later = f", {waiting} will be tried again later" if waiting else ""
        lost = f", {dead} given up (llmops alerts list --dead)" if dead else ""
        return dg.SkipReason(f"no message is due{later}{lost}")
    # The same due messages ask for one run a minute, however often the sensor ticks.
    return dg.SensorResult([dg.RunRequest(run_key=f"deliver:{now:%Y-%m-%dT%H:%M}")])


@dg.sensor(
    name="stale_days",
    job=nightly,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests runs over exactly the days whose copy is known to be out of date: one "
    "for each run of neighbouring days, of the scores and what follows from them where only scores "
    "changed.",
)
def stale_days_sensor(
    context: dg.SensorEvaluationContext, deployment: DeploymentResource
) -> dg.SensorResult | dg.SkipReason:
    from llmops_jobs.langfuse.late import stale_runs

    stale = stale_runs(deployment.open().database)
    if not stale:
        return dg.SkipReason("no day is stale")
    # A failed run is asked for again the next day, not with every tick.
    today = datetime.now(UTC).date()
    return dg.SensorResult(
        [
            dg.RunRequest(
                run_key=f"{run.key}:{today}",
                tags={START_TAG: run.first.isoformat(), END_TAG: run.last.isoformat()},
                asset_selection=_below_scores(context) if run.scores_only else None,
            )
            for run in stale
        ]
    )


def _below_scores(context: dg.SensorEvaluationContext) -> list[dg.AssetKey]:
    assert context.repository_def is not None
    selection = dg.AssetSelection.assets("scores").downstream()
    return sorted(selection.resolve(context.repository_def.asset_graph))


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="An incident for every job whose run failed, resolved by its next success. Polled: "
    "Dagster calls a run-failure sensor once, and a tick that fails is lost.",
)
def failed_runs(
    context: dg.SensorEvaluationContext, deployment: DeploymentResource
) -> dg.SensorResult | dg.SkipReason:
    from llmops_jobs.alerts.system import run_ended

    now = datetime.now(UTC)
    if context.cursor is None:
        return dg.SensorResult(skip_reason="watching from now on", cursor=now.isoformat())
    records = context.instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS],
            updated_after=datetime.fromisoformat(context.cursor),
        ),
        order_by="update_timestamp",
        ascending=True,
    )
    opened = deployment.open()
    told = []
    for ended in records:
        run = ended.dagster_run
        # What was started by hand on a few assets has a job name that says nothing.
        job = "assets by hand" if run.job_name.startswith("__") else run.job_name
        kind = run_ended(
            opened.database,
            opened.settings.alerts,
            job,
            run_id=run.run_id,
            failed=run.status == dg.DagsterRunStatus.FAILURE,
            error=_failed_step(context.instance, run.run_id)
            if run.status == dg.DagsterRunStatus.FAILURE
            else "",
            now=now,
        )
        told += [f"{kind} {job}"] if kind else []
    if not records:
        return dg.SkipReason("no run ended")
    # Dagster stores the cursor after the tick: a tick that fails looks at the same runs again.
    return dg.SensorResult(
        skip_reason=f"{len(records)} runs ended; {', '.join(told) or 'nothing to tell'}",
        cursor=max(record.update_timestamp for record in records).isoformat(),
    )


def _failed_step(instance: dg.DagsterInstance, run_id: str) -> str:
    """The step that failed and the kind of its error, without the error's own words."""
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1)
    for stored in found.records:
        event = stored.event_log_entry.dagster_event
        if event is not None and event.step_key:
            error = event.step_failure_data.error
            cause = error.cause if error is not None and error.cause is not None else error
            return f"{event.step_key}, {cause.cls_name}" if cause else event.step_key
    return ""


@dg.sensor(
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="An incident when no night was evaluated for longer than alerts.heartbeat_hours, "
    "or nobody looked at today's rows for two hours: silence must not be mistaken for health.",
)
def heartbeat(
    context: dg.SensorEvaluationContext, deployment: DeploymentResource
) -> dg.SensorResult | dg.SkipReason:
    from llmops_jobs.alerts.system import nights_missed, watch_missed

    opened = deployment.open()
    try:
        projects = [project.id for project in opened.projects()]
    except ConfigError as error:
        return dg.SkipReason(f"not watched: {error}")
    now = datetime.now(UTC)
    changed = [
        f"{project}: {kind}, {what}"
        for what, missed in (("nights", nights_missed), ("watch", watch_missed))
        for project, kind in missed(
            opened.database, opened.settings.alerts, projects, now=now
        ).items()
    ]
    return dg.SkipReason(
        "; ".join(changed) or "every project's night was evaluated in time, and its day is watched"
    )


# Today's rows are kept from tick to tick: a tick reads the last minutes only.
_watcher = None
_watching = threading.Lock()


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at today's rows for what should wake somebody before the night: errors, "
    "slowness and spend far beyond the usual, fast-burning objectives and budgets. Sends about one "
    "request to Langfuse a look, at most alerts.watch.requests.",
)
def watch_today(
    context: dg.SensorEvaluationContext, deployment: DeploymentResource
) -> dg.SensorResult | dg.SkipReason:
    from llmops_jobs.alerts.watch.tick import Watcher

    global _watcher
    opened = deployment.open()
    if not (opened.settings.alerts.enabled and opened.settings.alerts.watch.enabled):
        return dg.SkipReason("switched off: alerts.watch.enabled")
    if not _watching.acquire(blocking=False):
        return dg.SkipReason("the look before is still under way")
    try:
        _watcher = _watcher or Watcher()
        said = _watcher.tick(opened, datetime.now(UTC))
    except ConfigError as error:
        return dg.SkipReason(f"not watched: {error}")
    finally:
        _watching.release()
    return dg.SkipReason("; ".join(f"{project}: {text}" for project, text in said.items()))


SENSORS: list[dg.SensorDefinition] = [
    deliver_alerts,
    watch_today,
    failed_runs,
    heartbeat,
    stale_days_sensor,
]
