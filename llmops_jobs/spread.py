"""A range of days as many runs in Dagster's queue, for however many workers take from it.

Stages, one after the other: the copy, what each day gives by itself and the scores in pieces of
some days, which run at the same time; then what looks back over days, in one run. Which workers
there are, and how many runs at once, is the instance's business (`run_launcher`,
`max_concurrent_runs`): processes of one machine, Kubernetes jobs, Ray jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from dagster import DagsterRunStatus

from llmops_jobs.errors import UserError
from llmops_jobs.schedules import END_TAG, START_TAG

if TYPE_CHECKING:
    from llmops_jobs.evals.settings import EvalSettings

STAGES: Final = ("copy", "measure", "evaluate", "conclude")
_ENDED: Final = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
_POLL_SECONDS: Final = 1.0


def is_cut(stage: str, settings: EvalSettings) -> bool:
    """Whether a stage's days may run at the same time.

    The quality model of a week is trained on scores of the weeks before, and the judge is sent
    calls that it has judged before: with either, scores are made in order.
    """
    if stage == "evaluate":
        return not settings.quality_model.enabled and not settings.judge.rubrics
    return stage != "conclude"


def pieces(first: date, last: date, days: int) -> Iterator[tuple[date, date]]:
    """[first, last] in ranges of at most `days` days, in order, both ends included."""
    while first <= last:
        end = min(first + timedelta(days=days - 1), last)
        yield first, end
        first = end + timedelta(days=1)


def backfill(
    first: date,
    last: date,
    *,
    days_per_run: int,
    ui: str,
    settings: EvalSettings,
    say: Callable[[str], None],
) -> dict[str, float]:
    """Requests the runs at the web server `ui`, waits for them; the seconds of each stage.

    Raises UserError when the server does not answer or a run does not succeed; what was requested
    goes on, and everything may be requested again.
    """
    import httpx
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    try:  # whose message is a line; the other client's is its query
        httpx.get(f"{ui.rstrip('/')}/server_info", timeout=30).raise_for_status()
    except httpx.HTTPError as error:
        raise UserError(
            f"there is no Dagster web server at {ui} ({error}): start one, with its daemon "
            "(llmops up), or name its address with --ui"
        ) from error
    where = urlsplit(ui)
    seconds = {}
    try:
        client = DagsterGraphQLClient(
            where.hostname or "localhost",
            port_number=where.port,
            use_https=where.scheme == "https",
            path_prefix=where.path.rstrip("/"),
        )
        for job in STAGES:
            started = time.monotonic()
            cut = is_cut(job, settings)
            ranges = list(pieces(first, last, days_per_run)) if cut else [(first, last)]
            runs = {
                client.submit_job_execution(
                    job, tags={START_TAG: begin.isoformat(), END_TAG: end.isoformat()}
                ): f"{job} {begin} to {end}"
                for begin, end in ranges
            }
            _wait(runs, client.get_run_status, say)
            seconds[job] = time.monotonic() - started
    except DagsterGraphQLClientError as error:
        raise UserError(f"Dagster's web server at {ui} did not take the runs: {error}") from error
    return seconds


def _wait(
    runs: dict[str, str],
    status_of: Callable[[str], DagsterRunStatus],
    say: Callable[[str], None],
) -> None:
    """Until every run has ended. Raises UserError that names those that did not succeed."""
    waiting, failed = dict(runs), []
    while waiting:
        for run, what in list(waiting.items()):
            status = status_of(run)
            if status in _ENDED:
                del waiting[run]
                say(f"{what}: {status.value.lower()} ({len(waiting)} to go)")
                if status != DagsterRunStatus.SUCCESS:
                    failed.append(f"{what} (run {run})")
        if waiting:
            time.sleep(_POLL_SECONDS)
    if failed:
        raise UserError("not every run succeeded: " + "; ".join(failed))
