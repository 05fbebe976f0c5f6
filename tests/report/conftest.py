"""One filled database for all tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmops_jobs.report.build import build, marts_for
from llmops_jobs.report.model import ReportModel
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.store import Database
from tests.report.marts import LAST, PROJECT, fill


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('marts')}/llmops.db")
    database.create()
    fill(database)
    yield database
    database.engine.dispose()


@pytest.fixture
def own(filled: Database, tmp_path: Path) -> Iterator[Database]:
    """A copy of the filled database that a test may write to."""
    with filled.engine.connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{tmp_path}/own.db'")
    database = Database(f"sqlite:///{tmp_path}/own.db")
    yield database
    database.engine.dispose()


@pytest.fixture(scope="session")
def reports(filled: Database) -> dict[str, ReportModel]:
    """The day, week and month that end the filled span."""
    marts = marts_for(filled, [PROJECT], LAST, LAST, "month", ReportSettings())
    return {
        kind: build(filled, ReportSettings(), PROJECT, kind, LAST, marts=marts, as_of=LAST)
        for kind in ("day", "week", "month")
    }
