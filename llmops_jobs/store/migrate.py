"""Bringing a database to the tables of this version, and back.

    python -m llmops_jobs.store.migrate status | upgrade | downgrade REVISION | new "what changed"

`new` writes the next migration from the difference between the tables and the latest migration.
"""

from __future__ import annotations

import sys
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
HEAD = "0002"


def current(engine: sa.Engine) -> str | None:
    """The database's revision; None for an empty one."""
    with engine.connect() as connection:
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

    with engine.begin() as connection:
        command.upgrade(_config(connection), revision)


def _empty(engine: sa.Engine) -> bool:
    return not set(sa.inspect(engine).get_table_names()) & set(METADATA.tables)


def _create(engine: sa.Engine) -> None:
    """The newest tables at once; a test holds them against the migrations."""
    with engine.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(
            sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        )
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def downgrade(engine: sa.Engine, revision: str) -> None:
    """Takes migrations back, down to `revision` (or `base`)."""
    from alembic import command

    with engine.begin() as connection:
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
