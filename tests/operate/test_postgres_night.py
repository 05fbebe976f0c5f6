"""A night with its marts on a real Postgres: the values are SQLite's, and no secret is left."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from bench import faults

pytestmark = pytest.mark.slow

SECRET_KEY = "sk-lf-planted-8d1f0c6e"
PASSWORD = "planted-password-51ab"
WEBHOOK = "http://127.0.0.1:9/hooks/planted-token-77c2"


@pytest.fixture(scope="module")
def nights(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str
) -> Iterator[tuple[faults.Site, faults.Site]]:
    """The same two days on SQLite and on Postgres, with a channel whose address holds a token."""
    admin = sa.create_engine(f"postgresql+psycopg2://postgres@{postgres_server}/postgres")
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("CREATE DATABASE night"))
    admin.dispose()
    folder = tmp_path_factory.mktemp("nights")
    with faults.site(folder, days=2, requests=40, secret_key=SECRET_KEY) as on_sqlite:
        config = Path(on_sqlite.environment["LLMOPS_CONFIG"])
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        channel = {"name": "chat", "kind": "webhook", "url_env": "PLANTED_WEBHOOK"}
        content["alerts"] = {"channels": [{**channel, "allow_private": True}]}
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        on_sqlite.environment["PLANTED_WEBHOOK"] = WEBHOOK
        on_postgres = on_sqlite.again(folder / "postgres")
        on_postgres.environment["LLMOPS_DATABASE_URL"] = (
            f"postgresql+psycopg2://postgres:{PASSWORD}@{postgres_server}/night"
        )
        on_sqlite.finish()
        on_postgres.finish()
        yield on_sqlite, on_postgres


def test_the_marts_on_postgres_are_those_on_sqlite(nights: tuple[faults.Site, faults.Site]) -> None:
    on_sqlite, on_postgres = nights
    assert not (on_postgres.home / "llmops.db").exists()
    assert sum(len(rows) for rows in faults.marts(on_postgres).values()) > 1000
    assert faults.differences(on_sqlite, on_postgres) == []


def test_no_planted_secret_is_in_anything_that_a_run_leaves(
    nights: tuple[faults.Site, faults.Site],
) -> None:
    pair = base64.b64encode(f"pk-lf-local:{SECRET_KEY}".encode()).decode()
    planted = [SECRET_KEY, PASSWORD, WEBHOOK, "planted-token", pair]
    for place in nights:
        # Files as they are: database, Dagster's event and compute logs, reports, printed lines.
        files = [path for path in place.home.rglob("*") if path.is_file()]
        assert len(files) > 20
        for path in files:
            content = path.read_bytes()
            assert [word for word in planted if word.encode() in content] == [], path
        # What compression or a server hides.
        for held in (faults.marts(place), faults.facts(place)):
            text = repr(held)
            assert [word for word in planted if word in text] == []
