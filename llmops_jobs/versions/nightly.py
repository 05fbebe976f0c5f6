"""The night: labels as they stand, change points with their cause, rollbacks worth proposing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.days import today
from llmops_jobs.deployment import Deployment
from llmops_jobs.forecast.change import Change
from llmops_jobs.forecast.turns import detect as detect_turns
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.store import Database
from llmops_jobs.versions import change_points
from llmops_jobs.versions.events import Event, causes
from llmops_jobs.versions.labels import prompt_labels
from llmops_jobs.versions.mix import mix_shift
from llmops_jobs.versions.rollback import propose, record
from llmops_jobs.versions.series import Series

if TYPE_CHECKING:
    import pandas as pd

# Two dates of one change of one series lie closer than this.
_SAME_CHANGE = timedelta(days=10)
_CAUSES = 4


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
    deployment: Deployment, series: Series, events: Sequence[Event], project: str, day: date
) -> pd.DataFrame:
    """Rows of `change_point` that are first reported on `day`.

    A change that an earlier day reported already is not reported again.
    """
    import pandas as pd

    panel, rate = series.panel(day), deployment.settings.versions.change_point_rate
    changes: list[Change] = []
    if panel is not None:
        changes += change_points.detect(panel, rate)
    spend = series.spend(day)
    if day in spend.index:
        keys = [(str(scope), str(metric)) for scope, metric in spend.columns]
        changes += detect_turns(list(spend.index), keys, spend.to_numpy(), rate)
    if not changes:
        return pd.DataFrame()
    known = deployment.database.table("change_point", project=project)
    known = known[known["detected_on"] < day]
    rows = []
    for change in changes:
        same = known[(known["scope"] == change.scope) & (known["metric"] == change.metric)]
        if any(abs(change.day - when) <= _SAME_CHANGE for when in same["day"]):
            continue
        calls = series.usage_of(change.scope, day)
        known_causes = causes(change.day, change.metric, events, day, calls)[:_CAUSES]
        told = {event.dimension for event in known_causes}
        said = [event.text for event in known_causes]
        said += mix_shift(calls, change.scope, change.day, told)
        rows.append({**change.__dict__, "cause": "; ".join(dict.fromkeys(said))})
    return pd.DataFrame(rows)


def record_changes(database: Database, project: str, day: date, rows: pd.DataFrame) -> None:
    """Stores a night's changes. Where the night runs again and now finds what a later night had
    reported, the later report goes: a change is reported once."""
    import sqlalchemy as sa

    from llmops_jobs.store.tables.forecast import change_point

    c = change_point.c
    with database.engine.begin() as connection:
        for row in rows.itertuples():
            connection.execute(
                sa.delete(change_point).where(
                    c.project_id == project,
                    c.detected_on > day,
                    c.scope == row.scope,
                    c.metric == row.metric,
                    c.day.between(row.day - _SAME_CHANGE, row.day + _SAME_CHANGE),
                )
            )
    database.replace("change_point", {"project_id": project, "detected_on": day}, rows)
