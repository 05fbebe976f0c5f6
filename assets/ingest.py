"""The group `ingest`: the copy of the source, and how it compares with it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import dagster as dg

from assets._daily import WARN, add_day_metadata, check_days, daily_asset, run_days
from llmops_jobs import progress
from llmops_jobs.days import yesterday
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import UserError
from llmops_jobs.langfuse.answers import UnavailableError
from llmops_jobs.resources import DeploymentResource

# The pool: one step of Langfuse requests at a time, so that a backfill and the night's run take
# turns.
_PULL: dict[str, Any] = {
    "group": "ingest",
    "pool": "langfuse",
    "kinds": {"langfuse", "deltalake"},
}
# A source that is down for minutes costs no night; a person who waits is told at once.
_RETRIES, _RETRY_SECONDS = 3, 300
_UNATTENDED = {"dagster/schedule_name", "dagster/sensor_name", "dagster/backfill"}


@daily_asset(
    **_PULL,
    table="observations",
    description="Every observation of the day once, in its newest version, with token counts of "
    "one convention. No text of users.",
)
def observations(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.langfuse.late import sweep
    from llmops_jobs.langfuse.pull import pull_observations

    _pull(context, deployment, pull_observations)
    _sweep(context, deployment, sweep)


@daily_asset(
    **_PULL,
    table="scores",
    description="Every score whose own timestamp is on the day: feedback, annotations, judges.",
)
def scores(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.langfuse.late import sweep_scores
    from llmops_jobs.langfuse.pull import pull_scores

    _pull(context, deployment, pull_scores)
    _sweep(context, deployment, sweep_scores)


@daily_asset(
    **_PULL,
    deps=["observations", "scores"],
    table="observation_text",
    description="Input and output of the calls that evaluation reads: a sample, kept apart.",
)
def observation_text(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.evals.sampling import choose_texts
    from llmops_jobs.langfuse.texts import pull_texts

    _pull(context, deployment, partial(pull_texts, choose=choose_texts))


@daily_asset(
    **{**_PULL, "kinds": {"langfuse"}},
    deps=["observations"],
    table="reconciliation",
    description="Rows, cost and tokens as we hold them beside what the source's Metrics API says, "
    "and the causes of the difference.",
)
def reconciliation(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.langfuse.reconcile import reconcile

    _pull(context, deployment, reconcile)


@dg.asset_check(
    asset="observations",
    blocking=True,
    description="Each observation of the day is there once, starts on it, and counts no less than "
    "nothing; days without any are named.",
)
def observations_are_whole(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.langfuse.checks import broken_days

    right = "every observation once, each on its day"
    return check_days(context, deployment, broken_days, right, counted="days")


@dg.asset_check(
    asset="scores",
    description="Scores that an earlier run wrote are there when the day is read again.",
)
def written_scores_came_back(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.evals.write_back import not_readable

    def missing(home: Deployment, days: Sequence[date]) -> list[str]:
        return [
            f"{day}: {score.name} of {score.trace_id} ({score.id})"
            for project in home.projects()
            for day in days
            for score in not_readable(
                home.lake, home.database, project.id, day, home.settings.evals
            )
        ]

    right = "every score that was written can be read"
    return check_days(context, deployment, missing, right, counted="scores", severity=WARN)


@dg.asset_check(
    asset="reconciliation",
    description="The copy equals the source, or the difference is explained.",
)
def copy_equals_source(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.langfuse.checks import unexplained_days

    right = "the copy equals the source"
    return check_days(context, deployment, unexplained_days, right, counted="days", severity=WARN)


def _pull(
    context: dg.AssetExecutionContext,
    deployment: DeploymentResource,
    pull: Callable[[Deployment, Any, Sequence[date]], Iterator[Any]],
) -> None:
    """Runs a pull over the run's days, project by project; the days' figures are added up."""
    with _told(context):
        _pull_all(context, deployment.open(), pull)


def _pull_all(
    context: dg.AssetExecutionContext,
    opened: Deployment,
    pull: Callable[[Deployment, Any, Sequence[date]], Iterator[Any]],
) -> None:
    days, asset = run_days(context), context.asset_key.to_user_string()
    projects = opened.projects()
    figures: dict[date, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for number, project in enumerate(projects):
        progress.tell(asset, number * len(days), len(projects) * len(days))
        left = _left(context, opened, project.id, asset, days)
        for done, result in enumerate(pull(opened, project, left), start=len(days) - len(left) + 1):
            for name, value in result.figures().items():
                figures[result.day][name] += value
            progress.tell(asset, number * len(days) + done, len(projects) * len(days))
    for day in days:
        add_day_metadata(context, day, dict(figures[day]))


def _left(
    context: dg.AssetExecutionContext,
    opened: Deployment,
    project: str,
    asset: str,
    days: list[date],
) -> list[date]:
    """The days still to do: when a step is tried again, those that it did not get to before."""
    if not context.op_execution_context.retry_number:
        return days
    record = context.instance.get_run_record_by_id(context.run_id)
    began = datetime.fromtimestamp(record.start_time if record and record.start_time else 0, UTC)
    pulls = opened.database.table("pull", project, min(days), max(days), source=asset)
    pulls = pulls[(pulls["content_hash"] != "") & (pulls["pulled_at"] >= began)]
    done = set(pulls["day"])
    return [day for day in days if day not in done]


@contextmanager
def _told(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Errors in the user's terms: tried again where that may help and nobody waits."""
    try:
        yield
    except UnavailableError as error:
        if _UNATTENDED & set(context.run.tags):
            context.log.warning(f"trying again in {_RETRY_SECONDS} s: {error}")
            raise dg.RetryRequested(_RETRIES, _RETRY_SECONDS) from error
        raise dg.Failure(str(error)) from None
    except UserError as error:
        raise dg.Failure(str(error)) from None


def _sweep(
    context: dg.AssetExecutionContext,
    deployment: DeploymentResource,
    sweep: Callable[[Deployment, Any, date], Any],
) -> None:
    """After the night's pull: days before it that changed are marked, for `stale_days` to run."""
    days = run_days(context)
    if max(days) < yesterday() - timedelta(days=1):
        return  # a backfill of the past: the next night will look
    opened = deployment.open()
    with _told(context):
        for project in opened.projects():
            for day, reason in sorted(sweep(opened, project, min(days)).stale.items()):
                context.log.info(f"{project.name}: {day} is stale: {reason}")
