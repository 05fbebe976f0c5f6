"""The night: labels as they stand, change points with their cause, rollbacks worth proposing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.days import today
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.store import Database
from llmops_jobs.versions import change_points
from llmops_jobs.versions.events import cause, from_versions
from llmops_jobs.versions.labels import prompt_labels
from llmops_jobs.versions.rollback import propose, record
from llmops_jobs.versions.series import RELATIVE, Marts
from llmops_jobs.versions.settings import VersionSettings

if TYPE_CHECKING:
    import pandas as pd

# Two dates of one change of one series lie closer than this.
_SAME_CHANGE = timedelta(days=10)


# A label's place is known only now: the snapshot counts for last night, never for the past.
_SNAPSHOT_AGE = timedelta(days=2)


def snapshot_labels(database: Database, keys: ProjectKeys, day: date) -> None:
    """Records where prompt labels stand, under `day` if that was last night; else does nothing."""
    if today() - day <= _SNAPSHOT_AGE:
        database.replace_day("prompt_label", keys.id, day, prompt_labels(keys))


def propose_rollbacks(
    database: Database, project: str, day: date, comparisons: pd.DataFrame
) -> None:
    """Proposals from a night's comparisons, on nights whose labels were recorded."""
    labels = database.table("prompt_label", project, day, day)
    if len(labels):
        record(database, project, propose(comparisons, labels, day), day)


def changes_of(
    database: Database, marts: Marts, settings: VersionSettings, project: str, day: date
) -> pd.DataFrame:
    """Rows of `change_point` that are first reported on `day`.

    A change that an earlier day reported already is not reported again.
    """
    import pandas as pd

    changes = change_points.detect(
        marts.series(day),
        relative=RELATIVE,
        false_discovery_rate=settings.change_point_rate,
        seed=settings.seed,
    )
    known = database.table("change_point", project=project)
    known = known[known["detected_on"] < day]
    reported = {
        (row["scope"], row["metric"], row["day"])
        for row in known[["scope", "metric", "day"]].to_dict("records")
    }
    events = from_versions(database.table("version_seen", project, last=day), day)
    rows = [
        {**change.__dict__, "cause": cause(change.day, events)}
        for change in changes
        if not any(
            (change.scope, change.metric) == (scope, metric)
            and abs(change.day - when) <= _SAME_CHANGE
            for scope, metric, when in reported
        )
    ]
    return pd.DataFrame(rows)
