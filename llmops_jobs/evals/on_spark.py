"""A day's slices scored on Spark: the cheap scorers as a map over the slices, each a task.

A task reads its slices out of the lake itself, so that no text passes through this process; cut
as everywhere, they give the same scores. Tasks need the project, and packages that offer scorers,
installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import islice

from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.evals.slices import SLICE, Cheap, Models, Slice, active, slices_of_day
from llmops_jobs.lake import Lake

# A task reads past the slices before its own, and scores far longer than it reads.
_TASKS = 64


@dataclass(frozen=True)
class _Work:
    lake_url: str
    lake_options: dict[str, str] | None
    project: str
    day: date
    settings: EvalSettings
    models: Models
    size: int


def scored_slices(
    lake: Lake,
    project: str,
    day: date,
    settings: EvalSettings,
    cheap: Cheap,
    size: int = SLICE,
) -> Iterator[Slice]:
    """As `slices.scored_slices`."""
    from llmops_jobs.lake.spark import mapped

    work = _Work(lake.url, lake.storage_options, project, day, settings, cheap.models, size)
    count = -(-lake.count("observation_text", project, day) // size)
    each = -(-count // _TASKS) or 1
    firsts = range(0, count, each)
    for _, slices in mapped(partial(_score, work, each, count), firsts):
        yield from slices


def _score(work: _Work, many: int, count: int, first: int) -> list[Slice]:
    lake = Lake(work.lake_url, work.lake_options)
    cheap = Cheap(active(work.settings), work.models)
    slices = slices_of_day(lake, work.project, work.day, work.size)
    # There are more slices than counted where texts are long: the last task has them.
    end = first + many if first + many < count else None
    return [cheap.score(*each) for each in islice(slices, first, end)]
