"""Where the stand-in's rows come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol, runtime_checkable

from llmops_jobs.demo.rows import DayRows, Row
from llmops_jobs.demo.server.shapes import complete_observation, complete_score


@runtime_checkable
class Source(Protocol):
    """One project's rows by UTC day. `day` may be slow: the server keeps the last few days.

    A source may also have `revision` (an int that changes whenever its rows do) and `days()` (the
    days that have rows at all, for sources with wide gaps). One with `text(day, id)` is asked for
    `day(day, texts=False)`, and for the input and output of a row when somebody reads them.
    """

    @property
    def project_id(self) -> str: ...
    @property
    def first_day(self) -> date: ...
    @property
    def last_day(self) -> date: ...
    def day(self, day: date) -> DayRows: ...


def days_of(source: Source, start: date | None, end: date | None) -> list[date]:
    """Days of a source within [start, end], newest first."""
    listed: Callable[[], Sequence[date]] | None = getattr(source, "days", None)
    if listed is not None:
        days = sorted(listed(), reverse=True)
        return [d for d in days if (start is None or d >= start) and (end is None or d <= end)]
    first = max(source.first_day, start) if start else source.first_day
    last = min(source.last_day, end) if end else source.last_day
    return [last - timedelta(days=back) for back in range((last - first).days + 1)]


class MemorySource:
    """Rows held in memory, for tests; rows can be added, changed and removed between requests.

    Rows need only the keys that matter: `complete_observation` and `complete_score` add the rest.
    """

    def __init__(
        self,
        observations: Iterable[Row] = (),
        scores: Iterable[Row] = (),
        project_id: str = "local-project",
    ) -> None:
        self.project_id = project_id
        self.revision = 0
        self.observations: list[Row] = []
        self.scores: list[Row] = []
        self._by_day: dict[date, DayRows] | None = None
        self.add(observations, scores)

    def add(self, observations: Iterable[Row] = (), scores: Iterable[Row] = ()) -> None:
        """Adds rows; an id that exists already is added beside the old one (a duplicate)."""
        self.observations += [complete_observation(row, self.project_id) for row in observations]
        self.scores += [complete_score(row, self.project_id) for row in scores]
        self.changed()

    def remove(self, *ids: str) -> None:
        """Removes every observation and score with one of these ids."""
        gone = set(ids)
        self.observations = [row for row in self.observations if row["id"] not in gone]
        self.scores = [row for row in self.scores if row["id"] not in gone]
        self.changed()

    def replace(self, observations: Iterable[Row] = (), scores: Iterable[Row] = ()) -> None:
        """Everything anew."""
        self.observations, self.scores = [], []
        self.add(observations, scores)

    def changed(self) -> None:
        """To be called after rows were changed in place."""
        self.revision += 1
        self._by_day = None

    def days(self) -> list[date]:
        return sorted(self._days())

    @property
    def first_day(self) -> date:
        return min(self._days(), default=datetime.now(UTC).date())

    @property
    def last_day(self) -> date:
        return max(self._days(), default=datetime.now(UTC).date())

    def day(self, day: date) -> DayRows:
        return self._days().get(day) or DayRows()

    def _days(self) -> dict[date, DayRows]:
        if self._by_day is None:
            by_day: dict[date, DayRows] = defaultdict(DayRows)
            for row in self.observations:
                by_day[date.fromisoformat(row["startTime"][:10])].observations.append(row)
            for row in self.scores:
                by_day[date.fromisoformat(row["timestamp"][:10])].scores.append(row)
            self._by_day = dict(by_day)
        return self._by_day
