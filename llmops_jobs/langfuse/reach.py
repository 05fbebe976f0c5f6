"""How far back a source can be trusted to answer in full.

A project's retention deletes old rows, and a plan of Langfuse Cloud hides them: either way an old
day comes back with fewer rows or none, and no error. What is held of such a day is never taken
away for that.
"""

from __future__ import annotations

from datetime import date, timedelta

from llmops_jobs.langfuse.limits import is_cloud
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.settings import IngestSettings

# The smallest plan's window: the API does not say which plan it is.
_CLOUD_DAYS = 30


def out_of_reach(settings: IngestSettings, project: ProjectKeys, day: date, today: date) -> bool:
    """Whether the source may no longer answer for the whole of a day."""
    reach = reach_days(settings, project)
    return reach is not None and day <= today - timedelta(days=reach)


def reach_days(settings: IngestSettings, project: ProjectKeys) -> int | None:
    """Days back from today that the source answers for in full; None without a limit."""
    limits = [limit for limit in (project.retention_days, settings.access_days) if limit]
    if not limits and is_cloud(project.base_url):
        limits = [_CLOUD_DAYS]
    return min(limits, default=None)
