"""Days of an export landed on Spark: a day is a partition of the lake and a task of its own.

A task reads the export's files of its day, makes rows of them as every pull does, and writes their
Parquet file beside the table. Nothing is a part of the lake before this process commits it, day by
day, with the record of the pull: the marts are written from here alone. What only the API has of a
day is fetched here too, since the budget of requests is one process's.

Tasks need the project installed, and must reach export and lake under the same addresses and with
credentials of their own environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from llmops_jobs.days import today
from llmops_jobs.errors import SourceError
from llmops_jobs.lake import Lake
from llmops_jobs.lake.stream import Streamed, write_stream
from llmops_jobs.langfuse.export import Export
from llmops_jobs.langfuse.landing import Earlier, Landed, finished, kept
from llmops_jobs.langfuse.pull import Kind
from llmops_jobs.langfuse.raw import Batch
from llmops_jobs.langfuse.reach import out_of_reach

if TYPE_CHECKING:
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.langfuse.project import ProjectKeys
    from llmops_jobs.langfuse.settings import DimensionRules
    from llmops_jobs.langfuse.sources import ToppedUp


@dataclass(frozen=True)
class _Work:
    """What a task has to know. No secret: it travels."""

    lake_url: str
    lake_options: dict[str, str] | None
    export_url: str
    export_prefix: str
    project: str
    dimensions: DimensionRules
    table: str


@dataclass(frozen=True)
class _Day:
    day: date
    earlier: Earlier
    beyond: list[Batch]
    keep_held: bool


@dataclass(frozen=True)
class _Written:
    landed: Landed
    digest: str
    file: tuple[str, int, int] | None  # path, size, rows; None where the lake holds the same
    error: str = ""


def landed_days(
    deployment: Deployment,
    project: ProjectKeys,
    source: ToppedUp,
    table: str,
    wanted: Sequence[date],
) -> Iterator[Landed]:
    """As every pull: each day as it is landed, in their order. Raises SourceError."""
    from llmops_jobs.lake.spark import mapped

    lake, database = deployment.lake, deployment.database
    lake.create(table)
    work = _Work(
        lake.url,
        lake.storage_options,
        project.source.url,
        project.source.prefix,
        project.id,
        deployment.settings.dimensions,
        table,
    )

    def day_of(day: date) -> _Day:
        return _Day(
            day,
            Earlier.of(database, Landed(project.id, day, table)),
            list(source.beyond(table, day)),
            out_of_reach(deployment.settings.ingest, project, day, today()),
        )

    for given, done in mapped(partial(_landed, work), map(day_of, wanted)):
        if done.error:
            raise SourceError(done.error)

        def write(done: _Written = done, day: date = given.day) -> None:
            assert done.file is not None
            lake.adopt(Streamed(lake, table, project.id, day, *done.file))

        yield kept(database, done.landed, done.digest, given.earlier, write)


def _landed(work: _Work, given: _Day) -> _Written:
    """The task: a day read, finished and written beside the table."""
    lake, day = Lake(work.lake_url, work.lake_options), given.day
    kind = Kind.of(work.table, work.dimensions, work.project)
    landed = Landed(work.project, day, work.table)
    held = lake.read_day(work.table, work.project, day) if given.keep_held else None
    try:
        export = Export(work.export_url, work.project, work.export_prefix)
        batches = chain(given.beyond, getattr(export, work.table)(day))
        gathered = kind.gather(landed, batches, held)
    except SourceError as error:
        return _Written(landed, "", None, str(error))
    with closing(gathered):
        digest = finished(lake, landed, gathered, kind.finish, given.earlier)
        if not landed.changed:
            return _Written(landed, digest, None)
        new = write_stream(lake, work.table, work.project, day, gathered.parts())
        return _Written(landed, digest, (new.path, new.size, new.rows))
