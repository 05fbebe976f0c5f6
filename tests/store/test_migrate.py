"""Migrations lead to the same tables as the code, and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from llmops_jobs.store import migrate
from llmops_jobs.store.tables import METADATA


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    return sa.create_engine(f"sqlite:///{tmp_path}/m.db")


def _differences(engine: sa.Engine) -> list[object]:
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), METADATA)


def test_the_head_that_is_written_down_is_the_newest_migration() -> None:
    heads = ScriptDirectory(str(migrate.FOLDER)).get_heads()
    assert list(heads) == [migrate.HEAD]


def test_migrations_make_the_tables_of_the_code(engine: sa.Engine) -> None:
    migrate.upgrade(engine, migrate.HEAD)  # by name: the migrations themselves
    assert migrate.current(engine) == migrate.HEAD
    assert _differences(engine) == []


def test_an_empty_database_gets_the_same(engine: sa.Engine) -> None:
    migrate.upgrade(engine)
    assert migrate.current(engine) == migrate.HEAD
    assert _differences(engine) == []
    migrate.upgrade(engine)  # and again: nothing to do


def test_the_way_back_leaves_no_table(engine: sa.Engine) -> None:
    migrate.upgrade(engine, migrate.HEAD)
    migrate.downgrade(engine, "base")
    assert set(sa.inspect(engine).get_table_names()) <= {"alembic_version"}
