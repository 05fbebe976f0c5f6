"""Lake and reports on an S3-compatible server: what a folder holds, and no less safe."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from bench import faults
from llmops_jobs.lake import Lake
from llmops_jobs.lake.engine import DuckDB
from llmops_jobs.langfuse.checks import held
from tests import s3
from tests.facts import facts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(s3.available() is not None, reason=str(s3.available())),
]
DAY = date(2026, 3, 4)


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3.s3() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


def rows(count: int) -> list[dict[str, object]]:
    return [{"trace_id": f"t{i}", "observation_id": f"o{i}"} for i in range(count)]


@pytest.mark.parametrize("project", ["p", "a/../b é'%", "day=2026-01-01"])
def test_a_day_is_written_replaced_and_read(server: dict[str, str], project: str) -> None:
    lake = Lake(f"s3://{s3.BUCKET}/replaced")
    lake.replace_day("observations", project, DAY, facts("observations", rows(5)))
    lake.replace_day("observations", project, DAY, iter([facts("observations", rows(3))]))
    assert lake.read_day("observations", project, DAY).num_rows == 3
    assert lake.days("observations", project) == [DAY]
    (counted,) = DuckDB().run(held, lake, project, [DAY]).to_pylist()
    assert counted["rows"] == 3
    again = Lake(f"s3://{s3.BUCKET}/replaced")
    assert again.read_day("observations", project, DAY, ["trace_id"]).num_rows == 3


def test_writers_at_the_same_time_lose_nothing(server: dict[str, str]) -> None:
    days = [DAY + timedelta(days=i) for i in range(8)]

    def write(day: date) -> None:
        lake = Lake(f"s3://{s3.BUCKET}/crowded")
        lake.replace_day("scores", "p", day, facts("scores", [{"score_id": str(day)}]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, days))
    lake = Lake(f"s3://{s3.BUCKET}/crowded")
    assert lake.days("scores", "p") == days
    assert lake.read_days("scores", "p", days)["score_id"].to_pylist() == [str(d) for d in days]


def test_a_night_on_s3_gives_what_a_night_on_a_folder_gives(
    server: dict[str, str], tmp_path: Path
) -> None:
    with faults.site(tmp_path, days=3, requests=40) as on_disk:
        on_disk.finish()
        on_s3 = on_disk.again(tmp_path / "s3")
        on_s3.environment |= {**server, "LLMOPS_LAKE_URL": f"s3://{s3.BUCKET}/night/lake"}
        with_reports = importlib.util.find_spec("s3fs") is not None
        if with_reports:
            on_s3.environment["LLMOPS_REPORTS_URL"] = f"s3://{s3.BUCKET}/night/reports"
        on_s3.finish()
        on_s3.finish(on_s3.last, on_s3.last)  # a second night over files that are there
        assert not (on_s3.home / "lake").exists()
        if with_reports:
            import fsspec

            assert not (on_s3.home / "reports").exists()
            there = fsspec.filesystem("s3")
            there.get(f"{s3.BUCKET}/night/reports", str(on_s3.home / "reports"), recursive=True)
        assert len(list((on_s3.home / "reports").rglob("*.html"))) > 4
        assert faults.differences(on_disk, on_s3) == []
