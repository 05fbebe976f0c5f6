"""The public API (v4) as a source: pages of rows, windows of time, texts of chosen rows.

A window of time is read page by page, newest first, until the answer carries no cursor: a short or
even an empty page is not the end. Where a window is long it is divided and its parts are read side
by side; where the server cannot answer for it, it is halved.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec
import pyarrow as pa

from llmops_jobs import days
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse import wire
from llmops_jobs.langfuse.answers import TooMuchError
from llmops_jobs.langfuse.client import Client
from llmops_jobs.langfuse.page_end import with_all_versions
from llmops_jobs.langfuse.raw import Batch
from llmops_jobs.langfuse.wire import instant

log = logging.getLogger(__name__)

OBSERVATIONS = "/api/public/v2/observations"
SCORES = "/api/public/v3/scores"
_MS = timedelta(milliseconds=1)
_SHORTEST = timedelta(seconds=1)
# A window whose rest looks longer than this many pages is divided.
_LONG = 20
_PARTS = 8
# Answers of "too much" in a row before the server, not the window, is taken to be the trouble.
_PATIENCE = 40
RowT = TypeVar("RowT", bound=msgspec.Struct)


@dataclass(frozen=True)
class Kind(Generic[RowT]):
    """What differs between reading observations and scores."""

    path: str
    row: type[RowT]
    table: Callable[[list[Any]], pa.Table]
    instant: Callable[[Any], datetime]
    first: str
    end: str
    limit: int
    fields: str
    ended: Callable[[wire.Decoded[RowT]], wire.Decoded[RowT]] = lambda page: page


OBSERVATION_KIND: Kind[wire.Observation] = Kind(
    OBSERVATIONS, wire.Observation, wire.observation_table, lambda row: row.start_time,
    "fromStartTime", "toStartTime", 1000, wire.OBSERVATION_FIELDS, with_all_versions,
)  # fmt: skip
SCORE_KIND: Kind[wire.Score] = Kind(
    SCORES, wire.Score, wire.score_table, lambda row: row.timestamp,
    "fromTimestamp", "toTimestamp", 100, wire.SCORE_FIELDS,
)  # fmt: skip


@dataclass(frozen=True)
class Window:
    """The rows of [first, end) still to be read, and where in them the reading stands."""

    first: datetime
    end: datetime
    limit: int
    cursor: str | None = None
    oldest: datetime | None = None
    seen: frozenset[str] = frozenset()
    extra: tuple[tuple[str, str], ...] = ()

    def halves(self) -> list[Window]:
        middle = self.first + (self.end - self.first) / 2
        middle = middle.replace(microsecond=middle.microsecond // 1000 * 1000)
        fresh = replace(self, cursor=None, oldest=None, seen=frozenset())
        return [replace(fresh, first=middle), replace(fresh, end=middle)]


class Api:
    """A project's rows by its server's API. Safe to use from several threads."""

    def __init__(self, client: Client, parallel: int = 4) -> None:
        self.client = client
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="langfuse")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self.client.close()

    def observations(self, day: date) -> Iterator[Batch]:
        return self.window(OBSERVATION_KIND, days.start_of(day), days.end_of(day))

    def scores(self, day: date) -> Iterator[Batch]:
        return self.window(SCORE_KIND, days.start_of(day), days.end_of(day))

    def window(
        self,
        kind: Kind[Any],
        first: datetime,
        end: datetime,
        extra: tuple[tuple[str, str], ...] = (),
    ) -> Iterator[Batch]:
        """Batches of the rows of [first, end); a row may come in two of them."""
        running: set[Future[tuple[Batch, list[Window]]]] = set()
        decoder = wire.Decoder(kind.row)

        def start(window: Window) -> None:
            running.add(self._pool.submit(self._page, kind, decoder, window))

        start(Window(first, end, kind.limit, extra=extra))
        refused = 0
        try:
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                running -= done
                for future in done:
                    batch, rest = future.result()
                    refused = 0 if batch.pages else refused + 1
                    if refused > _PATIENCE:
                        raise SourceError(
                            f"{self.client.keys.base_url}{kind.path} timed out {refused} times in "
                            f"a row, whatever the window, between {first} and {end}"
                        )
                    for window in rest:
                        start(window)
                    yield batch
        finally:
            for future in running:
                future.cancel()

    def _page(
        self, kind: Kind[Any], decoder: wire.Decoder[Any], window: Window
    ) -> tuple[Batch, list[Window]]:
        query = [
            ("fields", kind.fields),
            ("limit", str(window.limit)),
            (kind.first, instant(window.first)),
            (kind.end, instant(window.end)),
            *window.extra,
        ]
        if window.cursor:
            query.append(("cursor", window.cursor))
        try:
            page = kind.ended(self.client.get(kind.path, query, decoder.decode))
        except TooMuchError as error:
            return Batch(kind.table([]), pages=0), _less(window, error)
        batch = Batch(kind.table(page.rows), page.rejects, 1, page.bytes)
        return batch, _rest(kind, window, page)

    def texts(self, wanted: pa.Table) -> pa.Table:
        """See `raw.Source`. Ids go by the hundred, in the order of time: a narrow window each."""
        ordered = wanted.sort_by("start_time")
        size = 100
        parts = [ordered.slice(at, size) for at in range(0, ordered.num_rows, size)]
        found = list(self._pool.map(self._texts, parts))
        return pa.concat_tables([TEXTS.empty_table(), *found])

    def _texts(self, part: pa.Table) -> pa.Table:
        starts = part["start_time"].to_pylist()
        only = json.dumps(
            [
                {
                    "type": "stringOptions",
                    "column": "id",
                    "operator": "any of",
                    "value": part["observation_id"].to_pylist(),
                }
            ]
        )
        pairs = set(
            zip(part["trace_id"].to_pylist(), part["observation_id"].to_pylist(), strict=True)
        )
        decoder = wire.Decoder(wire.Text)
        query = [
            ("fields", "core,io,metadata"),
            ("limit", str(max(1, part.num_rows))),
            ("fromStartTime", instant(min(starts))),
            ("toStartTime", instant(max(starts) + _MS)),
            ("filter", only),
        ]
        rows: dict[tuple[str, str], wire.Text] = {}
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            asked = [*query, ("cursor", cursor)] if cursor else query
            try:
                page = self.client.get(OBSERVATIONS, asked, decoder.decode)
            except TooMuchError:
                if part.num_rows == 1:
                    log.warning("the text of one observation is too large to be served: left out")
                    return TEXTS.empty_table()
                half = part.num_rows // 2
                halves = [self._texts(part.slice(0, half)), self._texts(part.slice(half))]
                return pa.concat_tables(halves)
            for row in page.rows:
                if (row.trace_id, row.id) in pairs:
                    rows.setdefault((row.trace_id, row.id), row)
            cursor = page.cursor
            if not cursor or len(rows) == len(pairs) or cursor in seen:
                return _text_table(list(rows.values()))
            seen.add(cursor)


TEXTS = pa.schema(
    [(name, pa.string()) for name in ("trace_id", "observation_id", "input", "output", "metadata")]
)


def _text_table(rows: list[wire.Text]) -> pa.Table:
    return pa.table(
        {
            "trace_id": [row.trace_id for row in rows],
            "observation_id": [row.id for row in rows],
            "input": [wire.text_of(row.input) for row in rows],
            "output": [wire.text_of(row.output) for row in rows],
            "metadata": [bytes(row.metadata).decode() for row in rows],
        },
        schema=TEXTS,
    )


def _less(window: Window, error: TooMuchError) -> list[Window]:
    """What to ask instead of a window that was too much: halves, or, of a second, small pages."""
    if window.end - window.first > _SHORTEST:
        if window.oldest is not None:
            window = replace(window, end=min(window.end, window.oldest + _MS))
        return window.halves()
    if window.limit > 1:
        return [replace(window, limit=max(1, window.limit // 4))]
    raise SourceError(f"not even one row at a time: {error}") from error


def _rest(kind: Kind[Any], window: Window, page: wire.Decoded[Any]) -> list[Window]:
    """The windows that are left after a page: none, the next page, or several parts."""
    if page.cursor is None:
        return []
    inside = [t for t in map(kind.instant, page.rows) if window.first <= t < window.end]
    oldest = min(inside) if inside else None
    if page.cursor in window.seen:
        # The cursor stands still or goes in circles. Go on from the oldest row, if that is ahead.
        reached = min(filter(None, (oldest, window.oldest)), default=None)
        if reached is None or reached + _MS >= window.end:
            raise SourceError(
                f"{kind.path} repeats its cursor between {window.first} and {window.end}: "
                "the day could not be read to its end"
            )
        return [Window(window.first, reached + _MS, window.limit, extra=window.extra)]
    if oldest is not None and window.cursor is None:
        covered = window.end - oldest
        left = oldest - window.first
        if covered and left / covered > _LONG and left > _PARTS * _SHORTEST:
            return _parts(Window(window.first, oldest + _MS, window.limit, extra=window.extra))
    reached = min(filter(None, (oldest, window.oldest)), default=None)
    seen = window.seen | {page.cursor}
    return [replace(window, cursor=page.cursor, oldest=reached, seen=seen)]


def _parts(window: Window) -> list[Window]:
    step = (window.end - window.first) / _PARTS
    cuts = [window.first + step * number for number in range(_PARTS)]
    cuts = [c.replace(microsecond=c.microsecond // 1000 * 1000) for c in cuts] + [window.end]
    return [
        replace(window, first=first, end=end)
        for first, end in itertools.pairwise(cuts)
        if first < end
    ]
