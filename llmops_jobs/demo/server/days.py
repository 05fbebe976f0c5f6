"""Rows by day, sorted once and cut by bisection; only the last few days stay in memory."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.order import TIMES, SortedRows, Tie, sort
from llmops_jobs.demo.server.overlay import Overlay
from llmops_jobs.demo.server.packed import Packed, Text, pack
from llmops_jobs.demo.server.shapes import complete_observation, complete_score
from llmops_jobs.demo.server.source import Source, days_of
from llmops_jobs.demo.server.spill import Spill
from llmops_jobs.demo.server.times import day_of


class Days:
    """A source's rows under what was written to the server since it started."""

    def __init__(
        self, source: Source, overlay: Overlay, keep: int = 4, spill: Spill | None = None
    ) -> None:
        self.source = source
        self.overlay = overlay
        self.keep = keep
        self.spill = spill
        self.on_fetch: Callable[[str, date, Sequence[Row]], None] | None = None
        self._revision = self._source_revision()
        self._held: dict[str, OrderedDict[date, SortedRows]] = {
            "observations": OrderedDict(),
            "scores": OrderedDict(),
        }
        self._latest_end: dict[date, str] = {}
        self._traces: dict[date, set[str]] = {}
        self._made: tuple[date | None, date | None] = (None, None)  # the last two days
        self._ahead: date | None = None

    @property
    def revision(self) -> tuple[int, int]:
        return self._source_revision(), self.overlay.revision

    def observations(self, day: date) -> SortedRows:
        if day == self._ahead:
            self._ahead = None
        return self._load("observations", day)

    def scores(self, day: date) -> SortedRows:
        """The day's scores, one row an id, with those that were posted."""
        rows = self._load("scores", day)
        return self.overlay.over(day, rows) if self.overlay.touches(day) else rows

    def walk(
        self,
        kind: str,
        start: str | None = None,
        end: str | None = None,
        before: tuple[str, Tie] | None = None,
        ended_from: str | None = None,
        trace: str | None = None,
    ) -> Iterator[Iterator[Row]]:
        """Day by day the rows, newest first, with start <= time < end, after a position.

        `ended_from` and `trace` let days be skipped that are known to have nothing that ended at
        or after that time, or nothing of that trace.
        """
        self._forget_if_changed()  # before what is known of a day lets it be skipped
        position = day_of(before[0]) if before else None
        for day in self.days(start, end):
            if position and day > position:
                continue
            if ended_from and self._latest_end.get(day, ended_from) < ended_from:
                continue
            if trace and trace not in self._traces.get(day, (trace,)):
                continue
            found = self.observations(day) if kind == "observations" else self.scores(day)
            yield found.between(start, end, before, kind)

    def days(self, start: str | None, end: str | None) -> list[date]:
        """Days that may have rows with start <= time < end, newest first."""
        first = day_of(start) if start else None
        last = day_of(end) if end else None
        if last and end and end[10:] == "T00:00:00.000Z" and last > date.min:
            last -= timedelta(days=1)
        days = days_of(self.source, first, last)
        posted = [
            day
            for day in self.overlay.days()
            if (first is None or day >= first) and (last is None or day <= last)
        ]
        return sorted({*days, *posted}, reverse=True) if posted else days

    def read_ahead(self) -> None:
        """Makes the day that comes next if days are being read in a row: to be called when an
        answer is out, so that a day is made while the reader is busy with the one before."""
        before, latest = self._made
        if self._ahead or before is None or latest is None or abs((latest - before).days) != 1:
            return
        following = latest + (latest - before)
        inside = self.source.first_day <= following <= self.source.last_day
        if inside and following not in self._latest_end:
            self._ahead = following  # no further until it was read
            self._load("observations", following)

    def _load(self, kind: str, day: date) -> SortedRows:
        self._forget_if_changed()
        held = self._held[kind]
        if day in held:
            held.move_to_end(day)
            return held[day]
        rows = self.spill.read(kind, day) if self.spill else None
        if rows is None:
            rows = self._fetch(day)[kind]
            if self.spill:  # what was made with the day lies scattered among what it was made of
                rows = self.spill.read(kind, day) or rows
        if isinstance(rows, Packed):
            rows.text = self._text(day)
        times = rows.times if isinstance(rows, Packed) else [row[TIMES[kind]] for row in rows]
        held[day] = SortedRows(times, rows)
        while len(held) > self.keep:
            held.popitem(last=False)
        return held[day]

    def _fetch(self, day: date) -> dict[str, Sequence[Row]]:
        """The day from its source, complete and in order; kept on disk where there is a place."""
        with _uncollected():
            return self._make(day)

    def _make(self, day: date) -> dict[str, Sequence[Row]]:
        self._made = (self._made[1], day)
        text = self._text(day)
        rows = self.source.day(day, texts=False) if text else self.source.day(day)  # type: ignore[call-arg]
        project = self.source.project_id
        newest: dict[str, Row] = {}
        for row in rows.scores:
            held = newest.get(row["id"])
            if held is None or held.get("updatedAt", "") <= row.get("updatedAt", ""):
                newest[row["id"]] = row
        observations = [complete_observation(row, project) for row in rows.observations]
        scores = [complete_score(row, project) for row in newest.values()]
        ordered = {
            "observations": sort("observations", observations),
            "scores": sort("scores", scores),
        }
        fetched = {kind: found.rows for kind, found in ordered.items()}
        if getattr(self.source, "revision", None) is None:  # else its rows are in memory anyway
            if self.on_fetch:
                for kind, made in fetched.items():
                    self.on_fetch(kind, day, made)
            fetched["observations"] = pack(fetched["observations"], text)
        ends = (row["endTime"] or row["startTime"] for row in observations)
        self._latest_end[day] = max(ends, default="")
        self._traces[day] = {row["traceId"] for row in observations}
        if self.spill:
            for kind, kept in fetched.items():
                self.spill.write(kind, day, kept)
        return fetched

    def _text(self, day: date) -> Text | None:
        """Writes the texts of a day's rows, if the source can do that apart from the rows."""
        write = getattr(self.source, "text", None)
        return partial(write, day) if write else None

    def _forget_if_changed(self) -> None:
        if self._revision != self._source_revision():
            self._revision = self._source_revision()
            self._latest_end.clear()
            self._traces.clear()
            for held in self._held.values():
                held.clear()

    def _source_revision(self) -> int:
        return int(getattr(self.source, "revision", 0))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles: a day is made of a hundred thousand objects, none of them in
    one, and looking takes a quarter of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
