"""The front door: `llmops demo` over real HTTP, real Dagster runs, real files."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

DAYS = 8
END = "2026-10-31"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Night:
    """A finished demo: its home, what it printed, and an open connection to its database."""

    home: Path
    printed: str
    database: sqlite3.Connection

    def number(self, query: str) -> float:
        return float(self.database.execute(query).fetchone()[0] or 0)


def llmops(
    home: Path, *arguments: str, environ: dict[str, str] | None = None, timeout: int = 300
) -> subprocess.CompletedProcess[str]:
    """The console command in a folder of its own, with nothing of Langfuse in its environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LANGFUSE", "LLMOPS"))}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "llmops_jobs", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=home.parent,
        env={**clean, "PYTHONPATH": str(ROOT), **(environ or {})},
    )


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    home = tmp_path_factory.mktemp("night") / "home"
    done = llmops(home, "demo", "--home", str(home), "--days", str(DAYS), "--end", END)
    assert done.returncode == 0, done.stdout + done.stderr
    database = sqlite3.connect(home / "llmops.db")
    yield Night(home, done.stdout, database)
    database.close()


def test_it_says_where_the_report_is(night: Night) -> None:
    line = next(line for line in night.printed.splitlines() if line.startswith("report: "))
    page = Path(line.removeprefix("report: "))
    assert page.exists()
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    "table",
    [
        "usage_daily",
        "latency_daily",
        "latency_histogram",
        "error_daily",
        "feedback_daily",
        "score",
        "quality_daily",
        "spend_forecast",
        "budget_status",
        "reconciliation",
        "report",
        "version_seen",
    ],
)
def test_every_mart_has_rows(night: Night, table: str) -> None:
    assert night.number(f"SELECT COUNT(*) FROM {table}") > 0


def test_every_day_was_copied_and_agrees_with_the_source(night: Night) -> None:
    rows = night.database.execute(
        "SELECT day, rows_here, rows_source, duplicates, quarantined, unexplained "
        "FROM reconciliation ORDER BY day"
    ).fetchall()
    assert len(rows) == DAYS
    for day, here, source, duplicates, quarantined, unexplained in rows:
        assert here > 1000, day
        assert source == here + duplicates + quarantined + unexplained, day
        assert unexplained == 0, day


def test_the_spend_of_the_marts_is_the_spend_of_the_report(night: Night) -> None:
    spend = night.number(
        f"SELECT SUM(cost_usd) FROM usage_daily WHERE day = '{END}' AND NOT is_evaluation"
    )
    assert spend > 0
    report = json.loads((night.home / "reports" / "latest.json").read_text(encoding="utf-8"))
    assert f"{spend:.2f}" in _numbers_at_two_places(report)


def _numbers_at_two_places(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_numbers_at_two_places, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(_numbers_at_two_places, value), set())
    try:
        return {f"{float(value):.2f}"}  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return set()


def test_there_is_a_page_in_three_faces_for_every_day(night: Night) -> None:
    folder = next((night.home / "reports").glob("*/day"))
    for face in ("html", "md", "json"):
        assert len(list(folder.glob(f"*.{face}"))) == DAYS


def test_doctor_finds_nothing_wrong_but_the_absent_server(night: Night) -> None:
    done = llmops(
        night.home,
        "doctor",
        "--json",
        environ={
            "LLMOPS_HOME": str(night.home),
            "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
            "LANGFUSE_PUBLIC_KEY": "pk-lf-x",
            "LANGFUSE_SECRET_KEY": "sk-lf-planted",
        },
    )
    findings = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert findings["database"]["status"] == findings["lake"]["status"] == "ok"
    assert findings["langfuse:default"]["status"] == "error"
    assert "127.0.0.1:9" in findings["langfuse:default"]["found"]
    assert "sk-lf-planted" not in done.stdout + done.stderr


def test_no_key_of_the_demo_is_in_anything_it_wrote(night: Night) -> None:
    secret = b"sk-lf-"
    for path in night.home.rglob("*"):
        if path.is_file() and path.suffix in {".html", ".md", ".json", ".yaml", ".log", ".db", ""}:
            assert secret not in path.read_bytes(), path


def test_serve_prints_url_and_keys_and_ends_with_its_server(tmp_path: Path) -> None:
    import urllib.request

    process = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "llmops_jobs", "demo", "--serve"),
            *("--home", str(tmp_path / "home"), "--days", "1", "--end", END),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        cwd=tmp_path,
    )
    assert process.stdout is not None
    printed = dict(
        process.stdout.readline().strip().removeprefix("export ").split("=", 1) for _ in range(5)
    )
    url = printed["LANGFUSE_BASE_URL"]
    assert {"LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"} <= set(printed)
    with urllib.request.urlopen(f"{url}/api/public/health", timeout=30) as answer:
        assert json.load(answer)["status"] == "OK"
    process.terminate()
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{url}/api/public/health", timeout=5)
