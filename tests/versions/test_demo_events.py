"""The marked events of the replay, found by the real assets from real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg
import pandas as pd
import pytest

from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.server import running
from llmops_jobs.launch import materialize
from llmops_jobs.store import Database

pytestmark = pytest.mark.slow

END = date(2026, 10, 31)
DAYS = 19
NEAR = timedelta(days=1)
ASSETS = (
    "observations,scores,costs,usage_daily,feedback_daily,version_seen,version_comparison,"
    "change_point"
)


def _day(ago: int) -> date:
    return END - timedelta(days=ago)


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    home = tmp_path_factory.mktemp("events")
    replay = Replay(seed=1, days=DAYS, end=END, requests_per_day=1700)
    replay.write_config(home)
    with (
        running(replay) as server,
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        patch.setenv("LLMOPS_HOME", str(home))
        patch.setenv("LLMOPS_CONFIG", str(home / "llmops.yaml"))
        for name, value in server.environment.items():
            patch.setenv(name, value)
        patch.chdir(home)
        done = materialize(_day(DAYS - 1), END, instance=instance, select=ASSETS)
        assert done.success, done.error
        database = Database(f"sqlite:///{home}/llmops.db")
        yield database
        database.engine.dispose()


@pytest.fixture(scope="module")
def changes(marts: Database) -> pd.DataFrame:
    return marts.table("change_point")


def _found(changes: pd.DataFrame, scope: str, metric: str) -> pd.Series:
    rows = changes[(changes["scope"] == scope) & (changes["metric"] == metric)]
    assert len(rows) == 1, changes[["day", "scope", "metric"]].to_string()
    return rows.iloc[0]


def test_the_prompt_that_lowers_quality_is_dated_and_named(changes: pd.DataFrame) -> None:
    change = _found(changes, "feature=rag-answer", "positive_rate:user_feedback")
    assert abs(change["day"] - _day(8)) <= NEAR
    assert change["detected_on"] - change["day"] <= timedelta(days=7)
    assert change["effect"] < -0.1
    assert "prompt version rag-answer → 4" in change["cause"]


def test_the_slow_model_is_dated_and_sized(changes: pd.DataFrame) -> None:
    change = _found(changes, "model=gpt-5-mini-2025-08-07", "time_to_first_token_p50")
    assert abs(change["day"] - _day(7)) <= NEAR
    assert change["low"] < 1.0 < change["high"]


def test_the_longer_prompt_is_dated_sized_and_named(changes: pd.DataFrame) -> None:
    change = _found(changes, "feature=summarise", "input_tokens_per_request")
    assert abs(change["day"] - _day(4)) <= NEAR
    assert change["low"] > 0.2
    assert "prompt version summarise → 3" in change["cause"]


def test_feedback_that_fell_without_a_change_has_no_version_for_a_cause(
    changes: pd.DataFrame,
) -> None:
    change = _found(changes, "feature=chat", "positive_rate:user_feedback")
    assert abs(change["day"] - _day(2)) <= NEAR
    assert "version" not in change["cause"]


def test_nothing_is_dated_to_days_on_which_nothing_happened(changes: pd.DataFrame) -> None:
    """The replay's quiet stretch, up to the day before the first event of these days."""
    quiet = changes[changes["day"] < _day(9)]
    assert len(quiet) <= 1, quiet[["day", "scope", "metric", "effect"]].to_string()


def test_the_worse_version_is_proposed_to_be_rolled_back(marts: Database) -> None:
    rows = marts.table("version_comparison")
    rag = rows[(rows["subject"] == "prompt:rag-answer") & (rows["slice"] == "total")]
    last = rag[rag["day"] == END].set_index("metric")
    assert last.loc["positive_feedback", "verdict"] == "worse"
    assert last.loc["positive_feedback", "candidate"] == "4"
    proposed = marts.table("rollback", status="proposed")
    assert set(proposed["prompt_name"]) <= {"rag-answer"}


def test_no_older_version_is_a_candidate(marts: Database) -> None:
    rows = marts.table("version_comparison")
    prompts = rows[rows["subject"].str.startswith("prompt:")]
    assert len(prompts) > 0
    assert (prompts["candidate"].astype(int) > prompts["baseline"].astype(int)).all()
