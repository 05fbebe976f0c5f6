"""Names come from traces and from a server: none leads out of the folders meant for them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from llmops_jobs.lake import Lake
from llmops_jobs.lake.engine import engine_for
from llmops_jobs.langfuse.checks import held
from llmops_jobs.report.site import stem
from tests.facts import facts

HOSTILE = [
    *("../../etc", "..", ".", "a/b", "a\\b", "/root", "day=2026-01-01", "%2e%2e", "%2F"),
    *("é '\"", "a' OR '1'='1", "a*?[b]", "${HOME}", "a\nb", "C:\\x", "a\u202eb"),
]
DAY = date(2026, 3, 4)


@pytest.mark.parametrize("project", HOSTILE)
def test_a_project_id_stays_within_the_lake_and_is_found_again(
    project: str, tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path / "deep" / "er" / "lake"))
    lake.replace_day("observations", "other", DAY, facts("observations", [{"trace_id": "kept"}]))
    lake.replace_day("observations", project, DAY, facts("observations", [{}, {"trace_id": "t2"}]))
    assert lake.read_day("observations", project, DAY)["project_id"].to_pylist() == [project] * 2
    (row,) = engine_for("duckdb").run(held, lake, project, [DAY]).to_pylist()
    assert row["rows"] == 2
    assert lake.read_day("observations", "other", DAY)["trace_id"].to_pylist() == ["kept"]
    outside = [p for p in tmp_path.rglob("*.parquet") if lake.url not in str(p.resolve())]
    assert outside == []


@pytest.mark.parametrize("project", HOSTILE)
def test_a_project_id_stays_within_the_reports(project: str, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    path = (reports / f"{stem(project, 'day', '2026-03-04')}.html").resolve()
    assert path.is_relative_to(reports)
    assert len(path.relative_to(reports).parts) == 3


def test_different_projects_have_different_folders() -> None:
    assert len({stem(project, "day", "2026-03-04") for project in HOSTILE}) == len(HOSTILE)
