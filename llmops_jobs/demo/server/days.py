"""Rows by day, sorted once and cut by bisection; only the last few days stay in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.overlay import Overlay
from llmops_jobs.demo.server.shapes import complete_observation, complete_score
from llmops_jobs.demo.server.source import Source, days_of
from llmops_jobs.demo.server.times import day_of

Key = tuple[str, ...]


@dataclass(frozen=True)
class SortedRows:
    """Rows in ascending order of `keys`: (time, trace id, id), for scores (time, id)."""

    keys: list[Key]
    rows: list[Row]


def observation_key(row: Row) -> Key:
    return (row["startTime"], row["traceId"] or "", row["id"])


def score_key(row: Row) -> Key:
    return (row["timestamp"], row["id"])


class Days:
    """A source's rows under what was written to the server since it started."""

    def __init__(self, source: Source, overlay: Overlay, keep: int = 4) -> None:
        self.source = source
        self.overlay = overlay
        self.keep = keep
        self.on_eviction: Callable[[date, SortedRows, SortedRows], None] | None = None
        self._revision = self._source_revision()
        self._observations: OrderedDict[date, SortedRows] = OrderedDict()
        self._scores: OrderedDict[date, SortedRows] = OrderedDict()
        self._latest_end: dict[date, str] = {}

    @property
    def revision(self) -> tuple[int, int]:
        return self._source_revision(), self.overlay.revision

    def observations(self, day: date) -> SortedRows:
        self._load(day)
        return self._observations[day]

    def scores(self, day: date) -> SortedRows:
        """The day's scores, one row an id, with those that were posted."""
        self._load(day)
        rows = self._scores[day]
        return self.overlay.over(day, rows) if self.overlay.touches(day) else rows

    def walk(
        self,
        kind: str,
        start: str | None = None,
        end: str | None = None,
        before: Key | None = None,
        ended_from: str | None = None,
    ) -> Iterator[list[Row]]:
        """Lists of rows, newest first, with start <= time < end and a key less than `before`.

        `ended_from` lets days be skipped in which nothing ended at or after that time.
        """
        top = min((t for t in (end, before[0] if before else None) if t), default=None)
        for day in self.days(start, top):
            if ended_from and self._latest_end.get(day, ended_from) < ended_from:
                continue
            found = self.observations(day) if kind == "observations" else self.scores(day)
            low = bisect_left(found.keys, (start,)) if start else 0
            high = bisect_left(found.keys, (end,)) if end else len(found.keys)
            if before:
                high = min(high, bisect_left(found.keys, before))
            if low < high:
                yield found.rows[low:high][::-1]

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

    def _load(self, day: date) -> None:
        if self._revision != self._source_revision():
            self._revision = self._source_revision()
            self._observations.clear()
            self._scores.clear()
            self._latest_end.clear()
        if day in self._observations:
            self._observations.move_to_end(day)
            return
        rows = self.source.day(day)
        project = self.source.project_id
        self._observations[day] = sort(
            [complete_observation(row, project) for row in rows.observations], observation_key
        )
        newest: dict[str, Row] = {}
        for row in rows.scores:
            held = newest.get(row["id"])
            if held is None or held.get("updatedAt", "") <= row.get("updatedAt", ""):
                newest[row["id"]] = row
        self._scores[day] = sort(
            [complete_score(row, project) for row in newest.values()], score_key
        )
        ends = (row["endTime"] or row["startTime"] for row in self._observations[day].rows)
        self._latest_end[day] = max(ends, default="")
        while len(self._observations) > self.keep:
            old, observations = self._observations.popitem(last=False)
            scores = self._scores.pop(old)
            if self.on_eviction:
                self.on_eviction(old, observations, scores)

    def _source_revision(self) -> int:
        return int(getattr(self.source, "revision", 0))


def sort(rows: list[Row], key: Callable[[Row], Key]) -> SortedRows:
    """Of two versions of one row the newer is read first: the cursor passes over the other one
    when a page ends between them."""
    ordered = sorted(rows, key=lambda row: (*key(row), row["updatedAt"] or ""))
    return SortedRows([key(row) for row in ordered], ordered)
