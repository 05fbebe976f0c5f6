"""The views and the dashboard's queries, run for real on SQLite and Postgres."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from llmops_jobs.days import end_of, start_of
from llmops_jobs.report import grafana, views
from llmops_jobs.report.build import build
from llmops_jobs.report.model import ReportModel
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.site import to_json
from llmops_jobs.store import Database
from tests.conftest import ROOT
from tests.report.marts import LAST, PROJECT, fill


@pytest.fixture
def viewed(any_database: Database) -> Database:
    fill(any_database, days=5, tenants=("acme", ""))
    views.create(any_database)
    return any_database


def _asked(query: str) -> str:
    """The query as Grafana sends it for the last ten days."""
    times = {
        "${__from:date:seconds}": str(int(start_of(LAST - timedelta(days=9)).timestamp())),
        "${__to:date:seconds}": str(int(end_of(LAST).timestamp())),
        "${project}": PROJECT,
    }
    for variable, value in times.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return query


def test_every_query_of_the_dashboard_has_an_answer(viewed: Database) -> None:
    for panel in grafana.PANELS:
        rows = viewed.read(_asked(panel.query))
        assert len(rows) > 0, panel.title
        if panel.kind == "timeseries":
            assert rows["time"].astype("int64").is_monotonic_increasing, panel.title
            assert set(rows["time"].astype("int64") % 86_400) == {0}, panel.title
    views.create(viewed)
    assert set(views.VIEWS) <= set(sa.inspect(viewed.engine).get_view_names())
    views.drop(viewed)
    assert not set(views.VIEWS) & set(sa.inspect(viewed.engine).get_view_names())


def test_every_dialect_gives_the_same_report(viewed: Database, database: Database) -> None:
    if viewed.engine.dialect.name == "sqlite":
        pytest.skip("compared with SQLite itself")
    fill(database, days=5, tenants=("acme", ""))
    for kind in ("day", "month"):
        ours, other = (
            to_json(build(one, ReportSettings(), PROJECT, kind, LAST, as_of=LAST))
            for one in (database, viewed)
        )
        assert ours == other


def test_a_view_agrees_with_the_report(own: Database, reports: dict[str, ReportModel]) -> None:
    views.create(own)
    rows = own.read(f"SELECT spend_usd, requests FROM v_spend_daily WHERE day = '{LAST}'")
    assert float(rows["spend_usd"].iloc[0]) == pytest.approx(reports["day"].summary.spend_usd)
    assert rows["requests"].iloc[0] == reports["day"].summary.requests


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "LLMOPS_DATABASE_URL": f"sqlite:///{folder}/own.db",
        "LLMOPS_HOME": str(folder),
        "PYTHONPATH": str(ROOT),
    }


def test_the_example_of_the_docs_runs(own: Database, tmp_path: Path) -> None:
    """The pandas example of docs/report.md, as it stands there."""
    views.create(own)
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example
    ran = subprocess.run(
        [sys.executable, "-c", example[1]],
        capture_output=True,
        text=True,
        env=_environment(tmp_path),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "rag-answer" in ran.stdout


def test_the_command_prints_statements_that_a_database_accepts(
    own: Database, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "llmops_jobs.report.views"],
        capture_output=True,
        text=True,
        env=_environment(tmp_path),
        cwd=tmp_path,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    connection = sqlite3.connect(tmp_path / "own.db")
    connection.executescript(ran.stdout)
    frame = pd.read_sql("SELECT * FROM v_spend_daily", connection)
    connection.close()
    assert len(frame) == 75
