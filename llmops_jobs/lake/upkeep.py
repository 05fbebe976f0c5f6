"""What keeps the lake from growing without end: old files, old text, many small files.

Replacing a day leaves its old files behind, so that a reader that has begun can finish; they are
removed once no reader can still need them. Safe beside writers and readers of other processes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from llmops_jobs.lake import schema
from llmops_jobs.lake.lake import Lake

log = logging.getLogger(__name__)

# Longer than any reader holds on to a list of files: a whole nightly run.
KEEP_HOURS: Final = 24
# A day whose writer was interrupted over and over, or a huge one, is in several files.
_SMALL_FILES: Final = 8


@dataclass(frozen=True)
class Swept:
    """What was done to one table."""

    table: str
    removed: int  # files that no version of the last KEEP_HOURS needs
    compacted: int  # small files joined to larger ones
    days_forgotten: int


def tidy(
    lake: Lake, *, text_days: int | None = None, today: date, keep_hours: int = KEEP_HOURS
) -> list[Swept]:
    """Every table: compaction where a day has many files, retention of text, removal of what no
    reader needs any more, and a checkpoint so that opening stays fast."""
    done = []
    for table in schema.TABLES:
        if not lake.exists(table):
            continue
        forgotten = 0
        if table == "observation_text" and text_days is not None:
            forgotten = forget_before(lake, table, today - timedelta(days=text_days))
        done.append(
            Swept(table, *_compact_and_vacuum(lake, table, keep_hours), days_forgotten=forgotten)
        )
        log.info("%s", done[-1])
    return done


def forget_before(lake: Lake, table: str, first: date) -> int:
    """Removes the days before `first`; returns how many there were.

    The rows are gone from every read at once; their files follow with the next `tidy` after
    KEEP_HOURS.
    """
    if not lake.exists(table):
        return 0
    delta = lake.to_write(table)
    old = {day for part in delta.partitions() if (day := str(part["day"])) < first.isoformat()}
    if old:
        delta.delete(f"day < '{first.isoformat()}'")
    return len(old)


def _compact_and_vacuum(lake: Lake, table: str, keep_hours: int) -> tuple[int, int]:
    delta = lake.to_write(table)
    compacted = 0
    crowded = [
        (project, day)
        for (project, day), files in lake.listing(table).items()
        if len(files) > _SMALL_FILES
    ]
    for project, day in crowded:
        metrics = delta.optimize.compact(
            partition_filters=[("project_id", "=", project), ("day", "=", day.isoformat())]
        )
        compacted += int(metrics["numFilesRemoved"])
    removed = delta.vacuum(
        retention_hours=keep_hours,
        dry_run=False,
        enforce_retention_duration=False,
        full=True,  # files of writers that died, too
    )
    delta.create_checkpoint()
    delta.cleanup_metadata()
    lake.forget(table)
    return len(removed), compacted
