"""What was written to the server since it started: scores, and what was deleted."""

from __future__ import annotations

import time
from collections import defaultdict
from contextvars import ContextVar
from datetime import date

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.order import SortedRows, sort
from llmops_jobs.demo.server.times import day_of

# Set while a request is served whose writes are acknowledged and not kept.
deaf: ContextVar[bool] = ContextVar("deaf", default=False)


class Overlay:
    """Scores by id. A score that is sent again keeps its first timestamp and creation time; its
    values are those of the latest event time, and an older event is ignored."""

    def __init__(self) -> None:
        self.revision = 0
        self._scores: dict[str, Row] = {}
        self._event_times: dict[str, str] = {}
        self._by_day: dict[date, dict[str, Row]] = defaultdict(dict)
        self._deleted: set[str] = set()
        self.deleted_traces: set[str] = set()
        self._arrived: dict[str, float] = {}

    def put(self, score: Row, event_time: str) -> None:
        if deaf.get():
            return
        self._arrived.setdefault(score["id"], time.monotonic())
        held = self._scores.get(score["id"])
        if held is not None:
            if event_time < self._event_times[score["id"]]:
                return
            score = {**score, "timestamp": held["timestamp"], "createdAt": held["createdAt"]}
        self._scores[score["id"]] = score
        self._event_times[score["id"]] = event_time
        self._by_day[day_of(score["timestamp"])][score["id"]] = score
        self._deleted.discard(score["id"])
        self.revision += 1

    def delete(self, score_id: str) -> None:
        score = self._scores.pop(score_id, None)
        if score is not None:
            self._by_day[day_of(score["timestamp"])].pop(score_id, None)
        self._deleted.add(score_id)
        self.revision += 1

    def delete_trace(self, trace_id: str) -> None:
        self.deleted_traces.add(trace_id)
        self.revision += 1

    def get(self, score_id: str) -> Row | None:
        return self._scores.get(score_id)

    def not_yet_readable(self, delay_seconds: float) -> set[str]:
        """Ids of scores that came less than so long ago."""
        since = time.monotonic() - delay_seconds
        return {score_id for score_id, arrived in self._arrived.items() if arrived > since}

    def days(self) -> list[date]:
        return [day for day, scores in self._by_day.items() if scores]

    def touches(self, day: date) -> bool:
        return bool(self._scores or self._deleted)

    def over(self, day: date, rows: SortedRows) -> SortedRows:
        """The day's scores with what was posted for it and without what was deleted."""
        posted = self._by_day.get(day, {})
        hidden = self._scores.keys() | self._deleted
        kept = [row for row in rows.rows if row["id"] not in hidden]
        if not posted and len(kept) == len(rows.rows):
            return rows
        return sort("scores", [*kept, *posted.values()])
