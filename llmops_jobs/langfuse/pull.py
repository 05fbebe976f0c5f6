"""The pull: days of a project from its source into the lake.

Days are fetched side by side and landed one after the other in their order, so that a year of
backfill keeps one page-bound pace and a failure leaves every landed day whole.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import pyarrow as pa

from llmops_jobs.days import today
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError
from llmops_jobs.lake import schema
from llmops_jobs.langfuse import score_rows, traces
from llmops_jobs.langfuse.gather import Gathered
from llmops_jobs.langfuse.landing import Finish, Landed, land
from llmops_jobs.langfuse.project import ProjectKeys, informed
from llmops_jobs.langfuse.raw import Batch, Reject, Source
from llmops_jobs.langfuse.reach import out_of_reach
from llmops_jobs.langfuse.rows import Normaliser
from llmops_jobs.langfuse.settings import DimensionRules
from llmops_jobs.langfuse.sources import ToppedUp, open_source

log = logging.getLogger(__name__)

CHUNK = 10_000
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Kind:
    """What tells observations from scores on their way into the lake."""

    name: str  # of the lake's table, and of the source's method that reads a day
    rows: Callable[[pa.Table, date], tuple[pa.Table, list[Reject]]]
    finish: Finish
    key: str

    @classmethod
    def of(cls, name: str, dimensions: DimensionRules, project: str) -> Kind:
        if name == "observations":
            return cls(name, Normaliser(dimensions, project).rows, traces.finish, "trace_id")

        def rows(raw: pa.Table, day: date) -> tuple[pa.Table, list[Reject]]:
            return score_rows.score_rows(raw, day, project)

        return cls(name, rows, score_rows.finish, "score_id")

    def gather(
        self, landed: Landed, batches: Iterable[Batch], held: pa.Table | None = None
    ) -> Gathered:
        """The drafts of a day's batches, with what is `held` of a day that the source may no longer
        answer for in full. What was read is counted in `landed`."""
        started = time.perf_counter()
        gathered = Gathered(self.key)
        try:
            if held is not None:
                landed.kept = held.num_rows
                gathered.add(held.drop_columns(list(schema.PARTITION)))
            for raw, rejects in _chunks(batches, landed):
                good, refused = self.rows(raw, landed.day)
                landed.rejects |= {r.row_id: r for r in (*rejects, *refused)}
                gathered.add(good)
        except SourceError as error:
            gathered.close()
            raise type(error)(f"{self.name} of {landed.day}: {error}") from None
        except BaseException:
            gathered.close()
            raise
        landed.seconds = time.perf_counter() - started
        return gathered


def pull_observations(
    deployment: Deployment, project: ProjectKeys, wanted: Sequence[date]
) -> Iterator[Landed]:
    """Pulls and lands observations, day by day; yields what was done as each day is landed.

    Raises SourceError when a day cannot be read to its end; that day is left as it was.
    """
    return _pull(deployment, project, "observations", wanted)


def pull_scores(
    deployment: Deployment, project: ProjectKeys, wanted: Sequence[date]
) -> Iterator[Landed]:
    """Pulls and lands scores, likewise."""
    return _pull(deployment, project, "scores", wanted)


def _pull(
    deployment: Deployment, project: ProjectKeys, name: str, wanted: Sequence[date]
) -> Iterator[Landed]:
    project = informed(project, deployment.database)
    progress = Progress(name, project.name, len(wanted))
    with closing(open_source(deployment, project)) as source:
        if deployment.settings.engine == "spark" and isinstance(source, ToppedUp):
            from llmops_jobs.langfuse.on_spark import landed_days

            days = landed_days(deployment, project, source, name, wanted)
        else:
            kind = Kind.of(name, deployment.settings.dimensions, project.id)
            days = _landed_days(deployment, project, source, kind, wanted)
        for done in days:
            progress.add(done)
            yield done


def _landed_days(
    deployment: Deployment,
    project: ProjectKeys,
    source: Source,
    kind: Kind,
    wanted: Sequence[date],
) -> Iterator[Landed]:
    def gather(day: date) -> tuple[Landed, Gathered]:
        landed, held = Landed(project.id, day, kind.name), None
        if out_of_reach(deployment.settings.ingest, project, day, today()):
            held = deployment.lake.read_day(kind.name, project.id, day)
        return landed, kind.gather(landed, getattr(source, kind.name)(day), held)

    for landed, gathered in ahead(gather, wanted, deployment.settings.ingest.parallel):
        with closing(gathered):
            yield land(deployment.lake, deployment.database, landed, gathered, kind.finish)


def _chunks(batches: Iterable[Batch], landed: Landed) -> Iterator[tuple[pa.Table, list[Reject]]]:
    """Batches joined to CHUNK rows: a page by itself is too small to be worth the calls."""
    tables: list[pa.Table] = []
    rejects: list[Reject] = []
    for batch in batches:
        landed.pages += batch.pages
        landed.bytes += batch.bytes
        tables.append(batch.rows)
        rejects += batch.rejects
        if sum(table.num_rows for table in tables) >= CHUNK:
            yield pa.concat_tables(tables), rejects
            tables, rejects = [], []
    if tables:
        yield pa.concat_tables(tables), rejects


def ahead(
    work: Callable[[date], tuple[A, B]], wanted: Sequence[date], parallel: int
) -> Iterator[tuple[A, B]]:
    """`work` of every day, in their order, at most `parallel` days side by side."""
    if len(wanted) == 1:
        yield work(wanted[0])
        return
    running: deque[Future[tuple[A, B]]] = deque()
    with ThreadPoolExecutor(parallel, thread_name_prefix="days") as pool:
        try:
            for day in wanted:
                running.append(pool.submit(work, day))
                if len(running) >= parallel:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
                future.add_done_callback(_discard)


def _discard(future: Future[Any]) -> None:
    """Frees what a day that nobody will land has gathered."""
    if not future.cancelled() and future.exception() is None:
        gathered = future.result()[1]
        if isinstance(gathered, Gathered):
            gathered.close()


class Progress:
    """Tells the log how far a pull is: rows, pages, rate, time left. A line every ten seconds."""

    def __init__(
        self, name: str, project: str, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self.project, self.total = name, project, total
        self.days = self.rows = self.pages = self.bytes = 0
        self._clock = clock
        self._started = self._told = clock()

    def add(self, landed: Landed) -> None:
        self.days += 1
        self.rows += landed.rows
        self.pages += landed.pages
        self.bytes += landed.bytes
        now = self._clock()
        if now - self._told >= 10 or (self.days == self.total and self.total > 1):
            self._told = now
            log.info("%s", self.line(now))

    def line(self, now: float) -> str:
        spent = max(now - self._started, 1e-9)
        left = spent / max(self.days, 1) * (self.total - self.days)
        return (
            f"{self.project}: {self.name} {self.days}/{self.total} days, {self.rows:,} rows in "
            f"{self.pages:,} pages ({self.rows / spent:,.0f} rows/s), {_duration(left)} left"
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def fetch_text(source: Source, wanted: pa.Table, longest: int) -> pa.Table:
    """Input, output and metadata of chosen observations, each cut to `longest` characters.

    `wanted`: trace_id, observation_id, start_time. The result has the same keys and `input`,
    `output`, `metadata`; observations that the source no longer has are missing.
    """
    import pyarrow.compute as pc

    texts = source.texts(wanted) if wanted.num_rows else None
    if texts is None:
        from llmops_jobs.langfuse.api import TEXTS

        return TEXTS.empty_table()
    for name in ("input", "output", "metadata"):
        cut = pc.utf8_slice_codeunits(texts[name], 0, longest)
        texts = texts.set_column(texts.column_names.index(name), name, cut)
    return texts
