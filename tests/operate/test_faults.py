"""The plug is pulled: a re-run gives what an undisturbed run gives, value by value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import faults, kills

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("LLMOPS_KILLS", "20"))


def test_a_job_that_is_killed_again_and_again_converges(tmp_path: Path) -> None:
    """Ten kills of a backfill, ten of a night, each ten followed by a run to the end."""
    hits, found = kills.kills(tmp_path, KILLS)
    assert hits == KILLS
    assert found == []


def test_a_difference_would_be_found(tmp_path: Path) -> None:
    """The comparison itself: one changed amount, one lost row of the lake."""
    from datetime import date

    import pandas as pd

    from llmops_jobs.lake import Lake
    from llmops_jobs.store import Database
    from tests.facts import facts

    places = [
        faults.Site(tmp_path / name, {}, faults.LAST_DAY, faults.LAST_DAY) for name in ("a", "b")
    ]
    for place, spent, calls in zip(places, (1, 2), ([{}, {"trace_id": "t"}], [{}]), strict=True):
        database = Database(f"sqlite:///{place.home}/llmops.db")
        database.create()
        database.upsert(
            "reconciliation",
            pd.DataFrame([{"project_id": "p", "day": date(2026, 1, 1), "rows_here": spent}]),
        )
        database.engine.dispose()
        Lake(str(place.home / "lake")).replace_day(
            "observations", "p", date(2026, 1, 1), facts("observations", calls)
        )
    found = faults.differences(*places)
    assert [line.split(":")[0] for line in found] == ["reconciliation", "observations"]
