"""The order of rows: by time, and among equal times as the server's tables are sorted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from llmops_jobs.demo.rows import Row

Tie = tuple[Any, ...]
_P1, _P2, _P3, _P4, _P5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class SortedRows:
    """Rows in ascending order of time; `times[i]` is the time of `rows[i]`."""

    times: list[str]
    rows: Sequence[Row]

    def between(
        self, start: str | None, end: str | None, before: tuple[str, Tie] | None, kind: str
    ) -> Iterator[Row]:
        """Rows with start <= time < end that come after the position `before`, newest first."""
        low = bisect_left(self.times, start) if start else 0
        high = bisect_left(self.times, end) if end else len(self.times)
        tied: list[Row] = []
        if before:
            time, tie = before
            first, last = bisect_left(self.times, time), bisect_right(self.times, time)
            if low <= first < high:
                tied = [row for row in self.rows[first:last] if TIES[kind](row) < tie]
            high = min(high, first)
        return chain(reversed(tied), self.rows[low:high][::-1])


def sort(kind: str, rows: list[Row]) -> SortedRows:
    """Of two versions of one row the newer is read first: the cursor passes over the other one
    when a page ends between them."""
    time, tie = TIMES[kind], TIES[kind]
    ordered = sorted(rows, key=lambda row: row[time])
    times = [row[time] for row in ordered]
    place = 0
    while place < len(ordered) - 1:
        if times[place] == times[place + 1]:
            last = bisect_right(times, times[place], place)
            ordered[place:last] = sorted(
                ordered[place:last], key=lambda row: (*tie(row), row["updatedAt"] or "")
            )
            place = last
        else:
            place += 1
    return SortedRows(times, ordered)


def observation_tie(row: Row) -> Tie:
    return (xxhash32(row["traceId"] or ""), row["id"])


def score_tie(row: Row) -> Tie:
    return (row["id"],)


TIMES = {"observations": "startTime", "scores": "timestamp"}
TIES: dict[str, Callable[[Row], Tie]] = {"observations": observation_tie, "scores": score_tie}


@lru_cache(4096)
def xxhash32(text: str) -> int:
    """xxHash, 32 bits, seed 0, of the UTF-8 bytes (specification: github.com/Cyan4973/xxHash)."""
    data = text.encode()
    size, place = len(data), 0
    if size >= 16:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while place <= size - 16:
            for lane in range(4):
                word = int.from_bytes(data[place : place + 4], "little")
                lanes[lane] = _turn(lanes[lane] + word * _P2, 13) * _P1 & _MASK
                place += 4
        value = sum(_turn(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True))
    else:
        value = _P5
    value = value + size & _MASK
    while place <= size - 4:
        word = int.from_bytes(data[place : place + 4], "little")
        value = _turn(value + word * _P3, 17) * _P4 & _MASK
        place += 4
    for byte in data[place:]:
        value = _turn(value + byte * _P5, 11) * _P1 & _MASK
    for shift, factor in ((15, _P2), (13, _P3), (16, 1)):
        value = (value ^ value >> shift) * factor & _MASK
    return value


def _turn(value: int, by: int) -> int:
    value &= _MASK
    return (value << by | value >> (32 - by)) & _MASK
