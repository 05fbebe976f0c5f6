"""Partitions: one run for a range equals a run a day equals running it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.server import running
from llmops_jobs.launch import materialize
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

pytestmark = pytest.mark.slow

END = date(2026, 10, 31)
DAYS = 3
# When something was done, not what: told apart in the dictionary of the tables.
RUN_METADATA = {
    "acknowledged_at",
    "beat_at",
    "checked_at",
    "created_at",
    "due_at",
    "first_pulled_at",
    "leased_until",
    "notified_at",
    "opened_at",
    "pulled_at",
    "resolved_at",
    "seconds",
    "seen_at",
    "sent_at",
    "trained_at",
    "written_at",
}


@pytest.fixture(scope="module")
def langfuse() -> Iterator[dict[str, str]]:
    replay = Replay(seed=5, days=DAYS, end=END, requests_per_day=150)
    with running(replay) as server:
        yield server.environment


def _run(home: Path, environ: dict[str, str], ranges: list[tuple[date, date]]) -> None:
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        for name, value in {**environ, "LLMOPS_HOME": str(home)}.items():
            patch.setenv(name, value)
        patch.chdir(home.parent)
        for first, last in ranges:
            outcome = materialize(first, last, instance=instance)
            assert outcome.success, outcome.error


def _tables(home: Path) -> dict[str, list[str]]:
    """Every table's rows as text, without the columns that say when something was done."""
    database = Database(f"sqlite:///{home}/llmops.db")
    found = {}
    for name, table in TABLES.items():
        rows = database.table(name).drop(columns=RUN_METADATA & set(table.c.keys()))
        found[name] = rows.to_csv(index=False).splitlines()
    database.engine.dispose()
    assert len(found["usage_daily"]) > DAYS
    return found


def _assert_same(one: dict[str, list[str]], other: dict[str, list[str]]) -> None:
    for name, rows in one.items():
        differing = [pair for pair in zip(rows, other[name], strict=False) if pair[0] != pair[1]]
        assert len(rows) == len(other[name]), f"{name}: {len(rows)} rows, then {len(other[name])}"
        assert not differing, (
            f"{name}: {len(differing)} rows differ, first\n{differing[0][0]}\n{differing[0][1]}"
        )


def _reports(home: Path) -> dict[str, str]:
    root = home / "reports"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _contents(home: Path) -> dict[str, dict[str, Any]]:
    """What the reports say, without when the data was copied."""
    found = {}
    for path in sorted((home / "reports").rglob("*/day/*.json")):
        page = json.loads(path.read_text(encoding="utf-8"))
        page["provenance"].pop("copied_at")
        found[path.name] = page
    assert len(found) == DAYS
    return found


def test_a_range_in_one_run_a_run_a_day_and_running_it_again_are_the_same(
    tmp_path: Path, langfuse: dict[str, str]
) -> None:
    days = [END - timedelta(days=DAYS - 1 - i) for i in range(DAYS)]
    whole, single = tmp_path / "whole", tmp_path / "single"
    _run(whole, langfuse, [(days[0], days[-1])])
    once, pages = _tables(whole), _reports(whole)
    assert len(pages) > 3 * DAYS

    _run(whole, langfuse, [(days[0], days[-1])])
    _assert_same(once, _tables(whole))
    assert _reports(whole) == pages

    _run(single, langfuse, [(day, day) for day in days])
    # Pages of the days before were written when less was known: votes that came later, and how
    # incidents went on. The last day's say the same.
    assert _contents(single)[f"{END}.json"] == _contents(whole)[f"{END}.json"]
    other = _tables(single)
    assert len(once.pop("report")) == len(other.pop("report"))
    _assert_same(once, other)
