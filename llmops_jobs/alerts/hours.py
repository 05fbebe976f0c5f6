"""Business hours of a channel."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from llmops_jobs.alerts.settings import Hours


def next_open(hours: Hours | None, now: datetime) -> datetime:
    """`now` within the hours, else the next instant at which they begin; aware, UTC."""
    if hours is None:
        return now
    zone = ZoneInfo(hours.time_zone)
    local = now.astimezone(zone)
    if hours.open_on(local.weekday()) and hours.start <= local.time() < hours.end:
        return now
    for ahead in range(8):
        day = local.date() + timedelta(days=ahead)
        start = datetime.combine(day, time(hours.start.hour, hours.start.minute), zone)
        if hours.open_on(day.weekday()) and start > local:
            return start.astimezone(UTC)
    return now
