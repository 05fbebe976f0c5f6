"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmops_jobs.config import load
from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.facts import PROJECT

ROOT = Path(__file__).resolve().parent.parent
# Real data and recorded answers, laid beside the checkout where they are to be had.
SHARED = Path(os.environ.get("LLMOPS_SHARED", ROOT.parent / "shared"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/llmops.db")
    opened.create()
    yield opened
    opened.engine.dispose()


@pytest.fixture
def no_langfuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of a server that is not there: nothing listens, and nothing should ask."""
    for name in ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_langfuse: None
) -> Callable[..., Deployment]:
    """`configured("signals: {…}")`: a deployment of one project with these further lines, in a
    folder of its own, which commands and runs of the test's process find too."""

    def write(more: str = "") -> Deployment:
        monkeypatch.chdir(tmp_path)
        config = tmp_path / "llmops.yaml"
        config.write_text(f"projects: [{{id: {PROJECT}}}]\n{more}\n")
        monkeypatch.setenv("LLMOPS_CONFIG", str(config))
        monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
        return Deployment(load())

    return write


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """`shared("data/azure_llm_2023/conv.csv.gz")`: a path, or a skip that says what is missing."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"the real data {name} is not beside this checkout")
        return path

    return find


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    from tests.postgres import postgres

    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgres"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each dialect in turn, at this version's tables."""
    import sqlalchemy as sa

    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/llmops.db"
    else:
        server = request.getfixturevalue("postgres_server")
        name = f"t{abs(hash(str(tmp_path))):x}"
        admin = sa.create_engine(f"postgresql+psycopg2://postgres@{server}/postgres")
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        admin.dispose()
        url = f"postgresql+psycopg2://postgres@{server}/{name}"
    opened = Database(url)
    opened.create()
    yield opened
    opened.engine.dispose()
