"""The same seed gives the same bytes, whatever is asked for first."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date, timedelta

import orjson
import pytest

from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.rows import DayRows
from tests.demo_replay.conftest import END

SMALL = 150


def digest(rows: DayRows) -> str:
    return hashlib.sha256(orjson.dumps([rows.observations, rows.scores])).hexdigest()


def test_the_order_in_which_days_are_asked_for_changes_nothing() -> None:
    days = [END - timedelta(days=ago) for ago in (0, 34, 8, 41, 9, 1)]
    forth = Replay(seed=3, end=END, requests_per_day=SMALL)
    back = Replay(seed=3, end=END, requests_per_day=SMALL)
    one = {day: digest(forth.day(day)) for day in days}
    other = {day: digest(back.day(day)) for day in reversed(days)}
    assert one == other
    assert len(set(one.values())) == len(days)


def test_a_shorter_replay_is_the_end_of_a_longer_one() -> None:
    short = Replay(seed=3, days=5, end=END, requests_per_day=SMALL)
    long = Replay(seed=3, days=90, end=END, requests_per_day=SMALL)
    for back in (0, 4):
        day = END - timedelta(days=back)
        assert digest(short.day(day)) == digest(long.day(day))


def test_another_seed_gives_other_traffic() -> None:
    day = END - timedelta(days=2)
    assert digest(Replay(seed=1, end=END, requests_per_day=SMALL).day(day)) != digest(
        Replay(seed=2, end=END, requests_per_day=SMALL).day(day)
    )


def test_another_process_writes_the_same_bytes() -> None:
    code = (
        "import hashlib, orjson; from datetime import date; "
        "from llmops_jobs.demo.replay import Replay; "
        f"rows = Replay(seed=5, end=date.fromisoformat('{END}'), requests_per_day={SMALL})"
        f".day(date.fromisoformat('{END}')); "
        "print(hashlib.sha256(orjson.dumps([rows.observations, rows.scores])).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    here = Replay(seed=5, end=END, requests_per_day=SMALL).day(END)
    assert other.stdout.strip() == digest(here)


def test_days_outside_the_replay_are_empty(replay: Replay) -> None:
    assert replay.day(replay.first_day - timedelta(days=1)) == DayRows()
    assert replay.day(replay.last_day + timedelta(days=1)) == DayRows()


def test_rows_lie_in_their_day(replay: Replay) -> None:
    day = date(2026, 11, 20)
    rows = replay.day(day)
    assert {row["startTime"][:10] for row in rows.observations} == {str(day)}
    assert {row["timestamp"][:10] for row in rows.scores} == {str(day)}


def test_a_row_is_never_in_two_days() -> None:
    """Traces cross midnight; their rows are in the day in which each of them starts."""
    seen: dict[tuple[str, str], str] = {}
    crossed = 0
    replay = Replay(seed=7, end=END, requests_per_day=800)
    traces: dict[str, str] = {}
    for back in range(20, 8, -1):
        day = END - timedelta(days=back)
        for row in replay.day(day).observations:
            key = (row["traceId"], row["id"])
            assert key not in seen
            seen[key] = str(day)
            crossed += traces.setdefault(row["traceId"], str(day)) != str(day)
    assert crossed > 0


def test_a_single_request_a_day_is_enough() -> None:
    tiny = Replay(seed=1, end=END, requests_per_day=1)
    sizes = [len(tiny.day(END - timedelta(days=back)).observations) for back in range(60)]
    assert 60 < sum(sizes) < 1000
    assert tiny.daily_usd() > 0


def test_it_runs_without_marked_events() -> None:
    plain = Replay(seed=7, end=END, requests_per_day=SMALL, with_events=False)
    assert plain.events() == []
    models = {row["model"] for row in plain.day(END).observations}
    assert "aurora-1-preview" not in models
    assert "gemini-2.5-flash" in models


@pytest.mark.parametrize("wrong", [{"days": 0}, {"requests_per_day": 0}])
def test_an_empty_replay_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a replay needs days and requests"):
        Replay(**wrong)  # type: ignore[arg-type]
