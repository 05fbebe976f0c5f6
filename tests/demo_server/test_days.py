"""How days are held: a few in memory, all on disk once they were made, the next one made ahead."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from llmops_jobs.demo.rows import DayRows
from llmops_jobs.demo.server.days import Days
from llmops_jobs.demo.server.order import xxhash32
from llmops_jobs.demo.server.overlay import Overlay
from llmops_jobs.demo.server.serving import prepare
from llmops_jobs.demo.server.spill import Spill
from tests.demo_server.conftest import call, thumb

FIRST = date(2026, 11, 1)


class Counted:
    """Ten days of two calls and a score each, and how often each day was made."""

    project_id = "p"
    first_day = FIRST
    last_day = FIRST + timedelta(days=9)

    def __init__(self) -> None:
        self.made: list[date] = []

    def day(self, day: date) -> DayRows:
        self.made.append(day)
        calls = [
            call(10 * day.day + n, start=f"{day}T0{n}:00:00.000Z", end=f"{day}T0{n}:00:01.000Z")
            for n in range(2)
        ]
        score = thumb(day.day, timestamp=f"{day}T12:00:00.000Z")
        return DayRows(observations=calls, scores=[score])


def seen(days: Days, kind: str, **query: Any) -> list[str]:
    return [row["id"] for rows in days.walk(kind, **query) for row in rows]


def test_a_day_is_made_once_and_read_back_from_disk(tmp_path: Path) -> None:
    source = Counted()
    days = Days(source, Overlay(), keep=2, spill=Spill(tmp_path))
    first = seen(days, "observations")
    assert len(first) == 20
    assert seen(days, "observations") == first
    assert len(seen(days, "scores")) == 10
    assert sorted(source.made) == [FIRST + timedelta(days=n) for n in range(10)]


def test_without_a_place_on_disk_only_the_last_days_are_held() -> None:
    source = Counted()
    days = Days(source, Overlay(), keep=2)
    seen(days, "observations")
    seen(days, "observations", end="2026-11-03T00:00:00.000Z")
    assert len(source.made) == 10
    seen(days, "observations", start="2026-11-10T00:00:00.000Z")
    assert len(source.made) == 11


def test_the_next_day_is_made_ahead_when_days_are_read_in_a_row(tmp_path: Path) -> None:
    source = Counted()
    days = Days(source, Overlay(), keep=2, spill=Spill(tmp_path))
    for number in (1, 2):
        day = f"2026-11-0{number}T00:00:00.000Z"
        assert len(seen(days, "observations", start=day, end=day.replace("T00", "T23"))) == 2
        days.read_ahead()
    assert source.made == [FIRST + timedelta(days=n) for n in range(3)]
    days.read_ahead()
    assert len(source.made) == 3  # no further until that one was read
    days.observations(FIRST + timedelta(days=2))
    days.read_ahead()
    assert source.made[3:] == [FIRST + timedelta(days=3)]


def test_days_are_passed_over_that_cannot_have_what_is_looked_for(tmp_path: Path) -> None:
    source = Counted()
    days = Days(source, Overlay(), keep=1)
    seen(days, "observations")
    source.made.clear()
    assert seen(days, "observations", trace="trace-0025") == ["obs-0051", "obs-0050"]
    assert seen(days, "observations", ended_from="2026-11-10T00:00:00.000Z")[0] == "obs-0101"
    assert set(source.made) <= {date(2026, 11, 5), date(2026, 11, 10)}


def test_the_metrics_of_many_days_need_no_day_again() -> None:
    source = Counted()
    state = prepare(source, keep_days=2)
    seen(state.days, "observations")
    seen(state.days, "scores")
    source.made.clear()
    table = state.columns.table("observations", [FIRST + timedelta(days=n) for n in range(8)])
    assert (table.num_rows, source.made) == (16, [])


def test_the_hash_is_xxhash_of_32_bits() -> None:
    known = {"": 0x02CC5D05, "a": 0x550D7456, "abc": 0x32D153FF}
    known["Nobody inspects the spammish repetition"] = 0xE2293B2F
    assert {text: xxhash32(text) for text in known} == known
