"""The jobs. Selections name groups, so that a new asset joins by being in its group."""

# No postponed annotations here: an op reads the type of its context as it is written.
from typing import Any

import dagster as dg

from llmops_jobs.resources import DeploymentResource

nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    description="Everything for a range of days: copy, price, measure, score, forecast, report.",
)

rebuild = dg.define_asset_job(
    "rebuild",
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("ingest"),
    description="Everything below the copy, from what the lake holds: no request to Langfuse.",
)

# What a day's rows of the lake give, whatever other days hold in the marts: runs of different days
# may do these at the same time. A test runs them so.
DAY_BY_DAY = (
    "costs",
    "usage_daily",
    "cost_audit",
    "outcomes",
    "latency_daily",
    "error_daily",
    "feedback_daily",
)
EVALUATION = ("score",)

# `nightly` in four parts, for ranges that are spread over workers: see `llmops_jobs.spread`.
copy = dg.define_asset_job(
    "copy",
    selection=dg.AssetSelection.groups("ingest"),
    description="Part of a spread range: the copy of the source.",
)

measure = dg.define_asset_job(
    "measure",
    selection=dg.AssetSelection.assets(*DAY_BY_DAY),
    description="Part of a spread range: what each day gives by itself.",
)

evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.assets(*EVALUATION),
    description="Part of a spread range: the scores of the answers.",
)

conclude = dg.define_asset_job(
    "conclude",
    selection=dg.AssetSelection.all()
    - dg.AssetSelection.groups("ingest")
    - dg.AssetSelection.assets(*DAY_BY_DAY, *EVALUATION),
    description="Part of a spread range: what looks back over days, in one run.",
)


@dg.op(description="Sends every message that is due; what fails is tried again later.")
def deliver_messages(context: dg.OpExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.alerts.delivery import deliver

    opened = deployment.open()
    done = deliver(opened.database, opened.settings.alerts)
    context.log.info(str(done))
    if done.dead:
        raise dg.Failure(
            f"{done.dead} messages could not be delivered: llmops alerts list --dead says why",
            allow_retries=False,
        )


@dg.job(description="Delivers queued messages; requested by the sensor deliver_alerts.")
def delivery() -> None:
    deliver_messages()


@dg.op(description="Old files, old text and crowded days of the lake; see lake.upkeep.")
def tidy_lake(context: dg.OpExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.days import today
    from llmops_jobs.lake.upkeep import tidy

    opened = deployment.open()
    for done in tidy(opened.lake, text_days=opened.settings.ingest.text_days, today=today()):
        context.log.info(
            f"{done.table}: {done.removed} old files removed, {done.compacted} joined, "
            f"{done.days_forgotten} days of text forgotten"
        )


@dg.job(description="Keeps the lake from growing without end; runs daily, beside everything.")
def upkeep() -> None:
    tidy_lake()


JOBS: list[Any] = [nightly, rebuild, copy, measure, evaluate, conclude, delivery, upkeep]
