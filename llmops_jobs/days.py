"""UTC days: the partitions of everything here.

A day is a UTC calendar day of an observation's start time, as a half-open window
[00:00, 24:00). This module holds the few functions that turn days into instants and back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def start_of(day: date) -> datetime:
    """The first instant of a day, aware, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def end_of(day: date) -> datetime:
    """The first instant after a day, aware, in UTC."""
    return start_of(day) + timedelta(days=1)


def days(first: date, last: date) -> Iterator[date]:
    """Every day from first to last, both included."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def by_day(
    each: Sequence[date], *frames: pd.DataFrame, key: str = "day"
) -> Iterator[tuple[Any, ...]]:
    """Each day with its rows of every frame: those whose `key` it is."""
    parts = [dict(list(frame.groupby(key))) if len(frame) else {} for frame in frames]
    for day in each:
        yield (
            day,
            *(part.get(day, frame.iloc[:0]) for part, frame in zip(parts, frames, strict=True)),
        )


def today() -> date:
    return datetime.now(UTC).date()


def yesterday() -> date:
    return today() - timedelta(days=1)


def parse_day(text: str) -> date:
    """A day from `YYYY-MM-DD`, `today` or `yesterday`.

    Raises ValueError, naming the text, for anything else.
    """
    if text == "today":
        return today()
    if text == "yesterday":
        return yesterday()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day: write YYYY-MM-DD, today or yesterday") from None
