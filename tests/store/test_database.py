"""The three ways of writing, on both dialects."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pytest
import sqlalchemy as sa

from llmops_jobs.errors import ConfigError
from llmops_jobs.store import Database

DAY = date(2026, 3, 4)


def _spenders(*subjects: str, cost: str = "1.5") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "kind": "user",
                "rank": rank,
                "subject": subject,
                "requests": 2**40,
                "cost_usd": Decimal(cost),
                "share": 0.25,
            }
            for rank, subject in enumerate(subjects, 1)
        ]
    )


def test_a_day_is_replaced_whole_and_others_are_left(any_database: Database) -> None:
    any_database.replace_day("top_spender", "p", DAY, _spenders("a", "b"))
    any_database.replace_day("top_spender", "p", date(2026, 3, 5), _spenders("c"))
    any_database.replace_day("top_spender", "q", DAY, _spenders("d"))
    any_database.replace_day("top_spender", "p", DAY, _spenders("e"))
    rows = any_database.table("top_spender")
    assert sorted(rows["subject"]) == ["c", "d", "e"]
    assert rows["requests"].tolist() == [2**40] * 3


def test_an_empty_frame_empties_the_day(any_database: Database) -> None:
    any_database.replace_day("top_spender", "p", DAY, _spenders("a"))
    any_database.replace_day("top_spender", "p", DAY, pd.DataFrame())
    assert len(any_database.table("top_spender")) == 0


def test_money_is_exact_to_the_nano_dollar(any_database: Database) -> None:
    any_database.replace_day("top_spender", "p", DAY, _spenders("a", cost="123456.123456789"))
    assert any_database.table("top_spender")["cost_usd"].tolist() == [Decimal("123456.123456789")]


def test_a_failed_write_leaves_the_old_rows(any_database: Database) -> None:
    any_database.replace_day("top_spender", "p", DAY, _spenders("a"))
    twice = pd.concat([_spenders("b"), _spenders("c")])  # the same rank: the key is broken
    with pytest.raises(sa.exc.IntegrityError):
        any_database.replace_day("top_spender", "p", DAY, twice)
    assert any_database.table("top_spender")["subject"].tolist() == ["a"]


def test_rows_in_parts_replace_the_day_whole_or_not_at_all(any_database: Database) -> None:
    any_database.replace_day("top_spender", "p", DAY, _spenders("a"))
    parts = [_spenders("b"), pd.DataFrame(), _spenders("c", "d").iloc[1:]]
    any_database.replace_day("top_spender", "p", DAY, iter(parts))
    assert sorted(any_database.table("top_spender")["subject"]) == ["b", "d"]
    with pytest.raises(ValueError, match="no column colour"):
        unknown = _spenders("f").assign(colour="red")
        any_database.replace_day("top_spender", "p", DAY, iter([_spenders("e"), unknown]))
    assert sorted(any_database.table("top_spender")["subject"]) == ["b", "d"]


def test_a_column_that_the_table_lacks_is_named(any_database: Database) -> None:
    with pytest.raises(ValueError, match="top_spender has no column colour"):
        any_database.replace_day("top_spender", "p", DAY, _spenders("a").assign(colour="red"))


def test_upsert_inserts_and_updates(any_database: Database) -> None:
    beat = {"name": "nightly", "beat_at": datetime(2026, 3, 4, tzinfo=UTC), "detail": "first"}
    any_database.upsert("heartbeat", pd.DataFrame([beat]))
    any_database.upsert("heartbeat", pd.DataFrame([{**beat, "detail": "second"}]))
    rows = any_database.table("heartbeat")
    assert rows["detail"].tolist() == ["second"]
    assert rows["beat_at"].iloc[0] == datetime(2026, 3, 4, tzinfo=UTC)


def test_an_unknown_url_is_explained() -> None:
    with pytest.raises(ConfigError, match="LLMOPS_DATABASE_URL is not a database URL"):
        Database("no url")


def test_the_password_is_not_kept_in_the_shown_url() -> None:
    shown = Database("postgresql+psycopg2://me:planted-secret@127.0.0.1/x").url
    assert "planted-secret" not in shown
