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
from llmops_jobs.store.tables.views import is_compared


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    return sa.create_engine(f"sqlite:///{tmp_path}/m.db")


def _differences(engine: sa.Engine) -> list[object]:
    with engine.connect() as connection:
        options = {"include_object": is_compared}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)


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
    assert sa.inspect(engine).get_view_names() == []


def test_histograms_a_row_a_bucket_become_one_row_a_cell_and_back(engine: sa.Engine) -> None:
    migrate.upgrade(engine, "0001")
    cell = "'p', '2026-03-04', 'production', 'openai', 'm', 'chat', 'q', '2', 'acme', 0, 'trace'"
    rows = [f"({cell}, 'latency', {bucket}, {n}, 1.02)" for bucket, n in ((-7, 2), (12, 30))]
    with engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO latency_histogram VALUES {', '.join(rows)}")
    query = sa.text("SELECT * FROM latency_histogram ORDER BY bucket")
    with engine.connect() as connection:
        before = [dict(row) for row in connection.execute(query).mappings()]
    migrate.upgrade(engine, "0002")
    with engine.connect() as connection:
        view = [dict(row) for row in connection.execute(query).mappings()]
        sketch = connection.execute(sa.text("SELECT n, counts FROM latency_sketch")).one()
        scopes = dict(
            connection.execute(sa.text("SELECT scope, counts FROM latency_scope")).tuples().all()
        )
    assert view == before
    assert tuple(sketch) == (32, '{"-7":2,"12":30}')
    assert set(scopes) == {
        *("total", "environment=production", "provider=openai", "model=m", "feature=chat"),
        *("prompt_name=q", "prompt_version=q@2", "tenant=acme"),
    }
    assert set(scopes.values()) == {'{"-7":2,"12":30}'}
    migrate.downgrade(engine, "0001")
    with engine.connect() as connection:
        assert [dict(row) for row in connection.execute(query).mappings()] == before
