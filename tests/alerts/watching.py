"""What tests of the watch share: a home at a stand-in, usual cells, what was told, a clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.demo.server import Running
from llmops_jobs.store import Database


def point(
    monkeypatch: pytest.MonkeyPatch, home: Path, server: Running, database: Database | None = None
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("LLMOPS_HOME", str(home))
    for name in ("LLMOPS_CONFIG", "LLMOPS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    if database is not None:
        url = database.engine.url.render_as_string(hide_password=False)
        monkeypatch.setenv("LLMOPS_DATABASE_URL", url)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def cell(**values: Any) -> dict[str, Any]:
    names = {"provider": "openai", "model": "gpt-4o-mini", "feature": "chat"}
    return {**names, "requests": 1000, "errors": 20, **values}


def told(database: Database) -> list[tuple[str, str]]:
    rows = database.table("notification").sort_values("created_at", kind="stable")
    return [(row["kind"], json.loads(row["payload"])["summary"]) for _, row in rows.iterrows()]


def at(moment: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: moment
