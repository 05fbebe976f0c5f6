"""Days that are measured together.

An aggregate of one small day costs mostly what it costs to start one; a large day fills memory.
So a run's days are cut into batches of about a hundred thousand rows: many small days at once,
large ones one by one. (Five times the rows save no time to speak of and hold 250 MiB more.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake

BATCH_ROWS: Final = 100_000


def batches(
    lake: Lake, project: str, days: Sequence[date], rows: int = BATCH_ROWS
) -> Iterator[list[date]]:
    """The days, in order, in lists of at most `rows` observations (or of one day)."""
    batch: list[date] = []
    held = 0
    for day in days:
        size = lake.count("observations", project, day)
        if batch and held + size > rows:
            yield batch
            batch, held = [], 0
        batch.append(day)
        held += size
    if batch:
        yield batch
