"""Bringing a database to the tables of this version, and back.

    python -m llmops_jobs.store.migrate status | upgrade | downgrade REVISION | new "what changed"

`new` writes the next migration from the difference between the tables and the latest migration.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from llmops_jobs.errors import UserError
from llmops_jobs.store.tables import METADATA

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"
# The newest migration. Written here so that opening a database that is at it imports no Alembic;
# a test holds it against the folder.
HEAD = "0006"
_LOCK = 0x6C6C6D6F7073  # "llmops": Postgres names its advisory locks by number


def current(engine: sa.Engine) -> str | None:
    """The database's revision; None for an empty one."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Runs the migrations that are missing; nothing when the database is up to date."""
    found = current(engine)
    if revision == "head" and found == HEAD:
        return
    if revision == "head" and found is None:
        if not _empty(engine):
            raise UserError(
                f"{engine.url.render_as_string()} holds tables that no migration made: name an "
                "empty database in LLMOPS_DATABASE_URL and run the days again"
            )
        _create(engine)
        return
    from alembic import command

    with _alone(engine) as connection:
        command.upgrade(_config(connection), revision)


def _empty(engine: sa.Engine) -> bool:
    return not set(sa.inspect(engine).get_table_names()) & set(METADATA.tables)


def _create(engine: sa.Engine) -> None:
    """The newest tables at once; a test holds them against the migrations."""
    with _alone(engine) as connection:
        if _revision(connection) is not None:
            return  # somebody else was first
        METADATA.create_all(connection)
        # Left, and empty, by a downgrade to nothing.
        connection.execute(
            sa.text(
                "CREATE TABLE IF NOT EXISTS alembic_version "
                "(version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
            )
        )
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that holds tables as well as rows, and that one process has at a time: what is
    cut off leaves the tables as they were."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            # Python's driver begins a transaction with the first row that is written, not before
            # a CREATE TABLE.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        yield connection


def downgrade(engine: sa.Engine, revision: str) -> None:
    """Takes migrations back, down to `revision` (or `base`)."""
    from alembic import command

    with _alone(engine) as connection:
        command.downgrade(_config(connection), revision)


def _config(connection: sa.Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config


def _new(message: str) -> None:
    from alembic import command

    engine = sa.create_engine("sqlite://")
    number = 1 + sum(1 for path in (FOLDER / "versions").glob("[0-9]*.py"))
    with engine.begin() as connection:
        config = _config(connection)
        if number > 1:
            command.upgrade(config, "head")
        command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")


def main(arguments: list[str]) -> int:
    from llmops_jobs.deployment import Deployment

    match arguments:
        case ["new", message]:
            _new(message)
        case ["status"]:
            print(
                f"{current(Deployment.from_environment().unmigrated_database().engine)} of {HEAD}"
            )
        case ["upgrade"]:
            upgrade(Deployment.from_environment().unmigrated_database().engine)
        case ["downgrade", revision]:
            downgrade(Deployment.from_environment().unmigrated_database().engine, revision)
        case _:
            print(__doc__)
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
