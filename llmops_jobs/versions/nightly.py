"""The night's change points: what is new as of a day, joined with its cause."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.store import Database
from llmops_jobs.versions import change_points
from llmops_jobs.versions.events import cause, from_versions
from llmops_jobs.versions.series import RELATIVE, Marts
from llmops_jobs.versions.settings import VersionSettings

if TYPE_CHECKING:
    import pandas as pd

# Two dates of one change of one series lie closer than this.
_SAME_CHANGE = timedelta(days=10)


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
        false_discovery_rate=settings.false_discovery_rate,
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
