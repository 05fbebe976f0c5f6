"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmops_jobs.lake import Lake
from llmops_jobs.store import Database

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


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """`shared("data/azure_llm_2023/conv.csv.gz")`: a path, or a skip that says what is missing."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"the real data {name} is not beside this checkout")
        return path

    return find
