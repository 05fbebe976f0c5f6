"""The lake: a day is replaced whole, by anybody, at any time, and read fast and right."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from llmops_jobs.lake import Lake, schema
from llmops_jobs.lake.batches import batches
from llmops_jobs.lake.stream import write_stream
from llmops_jobs.lake.upkeep import forget_before, tidy
from tests.facts import DAY, PROJECT, facts


def day_of(count: int, day: date = DAY, project: str = PROJECT) -> pa.Table:
    return facts("observations", [{"day": day, "project_id": project} for _ in range(count)])


def held(lake: Lake, day: date = DAY, project: str = PROJECT) -> int:
    return lake.read_day("observations", project, day).num_rows


def test_what_was_written_is_read_with_its_types(lake: Lake) -> None:
    rows = day_of(3)
    lake.replace_day("observations", PROJECT, DAY, rows)
    assert lake.read_day("observations", PROJECT, DAY).equals(rows)
    few = lake.read_day("observations", PROJECT, DAY, ["model", "day", "reported_cost_usd"])
    assert few.schema.names == ["model", "day", "reported_cost_usd"]
    assert few.schema.field("reported_cost_usd").type == schema.USD
    assert lake.read_day("observations", PROJECT, DAY, ["day"]).num_rows == 3


def test_a_day_that_was_never_written_is_empty(lake: Lake) -> None:
    assert lake.read_day("observations", PROJECT, DAY).equals(schema.empty("observations"))
    assert lake.files("observations", PROJECT, [DAY]) == []
    assert lake.days("observations", PROJECT) == []
    assert not lake.exists("observations")


def test_replacing_touches_one_project_and_day_only(lake: Lake) -> None:
    other = DAY + timedelta(days=1)
    lake.replace_day("observations", PROJECT, DAY, day_of(3))
    lake.replace_day("observations", PROJECT, other, day_of(4, other))
    lake.replace_day("observations", "second", DAY, day_of(5, project="second"))
    lake.replace_day("observations", PROJECT, DAY, day_of(1))
    assert (held(lake), held(lake, other), held(lake, project="second")) == (1, 4, 5)
    assert lake.days("observations", PROJECT) == [DAY, other]
    assert lake.read_days("observations", PROJECT, [DAY, other]).num_rows == 5
    lake.replace_day("observations", PROJECT, DAY, day_of(0))
    assert lake.days("observations", PROJECT) == [other]


@pytest.mark.parametrize("project", ["a b", "it's", "ü/x%20y", "a=b&c", "..", 'q"'])
def test_a_project_may_be_called_anything(lake: Lake, project: str) -> None:
    from llmops_jobs.lake.engine import DuckDB

    lake.replace_day("observations", project, DAY, day_of(9, project=project))
    lake.replace_day("observations", project, DAY, iter([day_of(5, project=project)]))
    assert held(lake, project=project) == 5
    lake.replace_day("observations", project, DAY, day_of(2, project=project))
    assert held(lake, project=project) == 2
    lake.replace_day("observations", project, DAY, iter([day_of(1, project=project)] * 2))
    assert lake.days("observations", project) == [DAY]
    counted = DuckDB().run(
        lambda t: t["observations"].group_by("project_id").agg(n=t["observations"].count()),
        lake,
        project,
        [DAY],
    )
    assert counted.to_pylist() == [{"project_id": project, "n": 2}]


def test_another_lake_sees_a_write_at_once(lake: Lake) -> None:
    lake.replace_day("observations", PROJECT, DAY, day_of(2))
    other = Lake(lake.url)
    assert held(other) == 2
    lake.replace_day("observations", PROJECT, DAY, day_of(7))
    assert held(other) == 7


def test_a_day_written_in_parts_is_one_commit(lake: Lake) -> None:
    lake.replace_day("observations", PROJECT, DAY, day_of(1))
    before = _version(lake)
    lake.replace_day("observations", PROJECT, DAY, (day_of(100) for _ in range(5)))
    assert held(lake) == 500
    assert _version(lake) == before + 1


def test_a_writer_that_fails_half_way_leaves_the_old_day(lake: Lake) -> None:
    lake.replace_day("observations", PROJECT, DAY, day_of(3))

    def failing() -> object:
        yield day_of(10)
        raise RuntimeError("the source broke off")

    with pytest.raises(Exception, match="the source broke off"):
        lake.replace_day("observations", PROJECT, DAY, failing())  # type: ignore[arg-type]
    assert held(lake) == 3
    assert held(Lake(lake.url)) == 3


def _write_for_ever(url: str, day: date, ready: object) -> None:
    lake = Lake(url)
    sizes = (400, 900)
    for turn in range(10_000):
        lake.replace_day("observations", PROJECT, day, day_of(sizes[turn % 2], day))
        ready.set()  # type: ignore[attr-defined]


def test_a_process_that_is_killed_at_any_instant_leaves_a_whole_day(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    url = str(tmp_path / "lake")
    writers = []
    for offset in range(2):
        ready = context.Event()
        day = DAY + timedelta(days=offset)
        process = context.Process(target=_write_for_ever, args=(url, day, ready))
        process.start()
        writers.append((process, ready, day))
    lake = Lake(url)
    seen = set()
    try:
        for _, ready, _ in writers:
            assert ready.wait(60)
        for _ in range(40):
            seen |= {held(lake, day) for _, _, day in writers}
            time.sleep(0.005)
    finally:
        for process, _, _ in writers:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
    assert seen == {400, 900}
    for _, _, day in writers:
        assert held(Lake(url), day) in (400, 900)
        lake.replace_day("observations", PROJECT, day, day_of(5, day))
        assert held(lake, day) == 5


def test_threads_share_one_lake(lake: Lake) -> None:
    days = [DAY + timedelta(days=n) for n in range(6)]
    faults: list[BaseException] = []

    def work(day: date) -> None:
        try:
            for size in (1, 2, 3, 4):
                rows = day_of(size, day)
                lake.replace_day("observations", PROJECT, day, rows if size % 2 else iter([rows]))
                assert held(lake, day) == size
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(day,)) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert lake.days("observations", PROJECT) == days


def test_old_files_are_removed_when_no_reader_needs_them(lake: Lake, tmp_path: Path) -> None:
    for size in range(1, 6):
        lake.replace_day("observations", PROJECT, DAY, day_of(size))
    reader = Lake(lake.url)
    assert held(reader) == 5
    write_stream(lake, "observations", PROJECT, DAY, [day_of(9)])  # and then its process died
    assert len(_files(tmp_path)) == 6
    tidy(lake, today=DAY)
    assert len(_files(tmp_path)) == 6
    (swept,) = tidy(lake, today=DAY, keep_hours=0)
    assert swept.removed == 5
    assert len(_files(tmp_path)) == 1
    assert held(reader) == held(lake) == 5


def test_a_reader_whose_list_is_old_finds_the_new_files(lake: Lake) -> None:
    lake.replace_day("observations", PROJECT, DAY, day_of(1))
    reader = Lake(lake.url)
    listing = reader.listing("observations")
    lake.replace_day("observations", PROJECT, DAY, day_of(2))
    tidy(lake, today=DAY, keep_hours=0)
    reader._files["observations"] = (reader.delta("observations").version(), listing)  # type: ignore[union-attr]
    assert held(reader) == 2


def test_a_day_in_many_files_is_joined_and_says_the_same(lake: Lake, tmp_path: Path) -> None:
    from deltalake import write_deltalake

    lake.replace_day("observations", PROJECT, DAY, day_of(1))
    for _ in range(11):
        write_deltalake(lake.uri("observations"), day_of(1), mode="append")
    assert len(lake.files("observations", PROJECT, [DAY])) == 12
    (swept,) = tidy(lake, today=DAY)
    assert swept.compacted == 12
    assert len(lake.files("observations", PROJECT, [DAY])) == 1
    assert held(lake) == 12


def test_text_has_its_own_retention(lake: Lake, tmp_path: Path) -> None:
    for back in range(5):
        day = DAY - timedelta(days=back)
        lake.replace_day("observations", PROJECT, day, day_of(1, day))
        text = facts("observation_text", [{"day": day, "input": "secret"}])
        lake.replace_day("observation_text", PROJECT, day, text)
    swept = {done.table: done for done in tidy(lake, text_days=2, today=DAY, keep_hours=0)}
    assert swept["observation_text"].days_forgotten == 2
    assert lake.days("observation_text", PROJECT) == [DAY - timedelta(days=n) for n in (2, 1, 0)]
    assert len(lake.days("observations", PROJECT)) == 5
    assert len(_data(tmp_path / "lake" / "observation_text")) == 3
    assert forget_before(lake, "scores", DAY) == 0


def _version(lake: Lake) -> int:
    delta = lake.delta("observations")
    assert delta is not None
    return delta.version()


def _files(tmp_path: Path) -> list[Path]:
    return _data(tmp_path / "lake" / "observations")


def _data(table: Path) -> list[Path]:
    return list(table.glob("project_id=*/**/*.parquet"))


def test_a_table_of_an_older_version_gets_the_new_columns(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    old = facts("costs", [{"observation_id": "a"}]).drop_columns(["issue", "price_book_hash"])
    write_deltalake(str(tmp_path / "costs"), old, partition_by=list(schema.PARTITION))
    lake = Lake(str(tmp_path))
    (row,) = lake.read_day("costs", PROJECT, DAY).to_pylist()
    assert (row["observation_id"], row["issue"]) == ("a", "")
    other = DAY + timedelta(days=1)
    lake.replace_day("costs", PROJECT, other, facts("costs", [{"day": other, "issue": "x"}]))
    assert lake.read_days("costs", PROJECT, [DAY, other])["issue"].to_pylist() == ["", "x"]


def test_two_writers_of_one_day_leave_the_day_of_one_of_them(lake: Lake) -> None:
    sizes = [10, 20, 30, 40]
    threads = [
        threading.Thread(
            target=lambda size=size: Lake(lake.url).replace_day(
                "observations", PROJECT, DAY, day_of(size) if size > 20 else iter([day_of(size)])
            )
        )
        for size in sizes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held(lake) in sizes


def spent(t: Mapping[str, Any]) -> Any:
    costs = t["costs"]
    return costs.group_by("day").agg(
        n=costs.count(), issues=costs.issue.max(), usd=costs.cost_usd.sum()
    )


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_files_from_before_a_column_was_added_are_read_with_the_others(
    tmp_path: Path, scheme: str
) -> None:
    from deltalake import write_deltalake

    from llmops_jobs.lake.engine import DuckDB

    days = [DAY, DAY + timedelta(days=1)]
    old = facts("costs", [{"cost_usd": Decimal("0.5")}] * 2).drop_columns(["issue", "input_usd"])
    write_deltalake(str(tmp_path / "costs"), old, partition_by=list(schema.PARTITION))
    lake = Lake(f"{scheme}{tmp_path}")
    only_old = DuckDB().run(spent, lake, PROJECT, days[:1]).to_pylist()
    assert only_old == [{"day": DAY, "n": 2, "issues": "", "usd": Decimal("1")}]
    new = facts(
        "costs",
        [{"day": days[1], "issue": "x", "cost_usd": Decimal("0.25"), "input_usd": Decimal("0.2")}],
    )
    lake.replace_day("costs", PROJECT, days[1], new)
    both = sorted(DuckDB().run(spent, lake, PROJECT, days).to_pylist(), key=lambda r: r["day"])
    assert both == [only_old[0], {"day": days[1], "n": 1, "issues": "x", "usd": Decimal("0.25")}]
    read = lake.read_days("costs", PROJECT, days, ["issue", "input_usd"]).to_pydict()
    assert read == {"issue": ["", "", "x"], "input_usd": [None, None, Decimal("0.2")]}


@pytest.mark.parametrize("project", ["p", "ü/x%20y", ".."])
def test_a_lake_behind_a_url_is_read_and_written_like_a_folder(
    tmp_path: Path, project: str
) -> None:
    from llmops_jobs.lake.engine import DuckDB

    other = DAY + timedelta(days=1)
    lake = Lake(f"file://{tmp_path}/lake")
    lake.replace_day("observations", project, DAY, day_of(7, project=project))
    lake.replace_day("observations", project, DAY, iter([day_of(2, project=project)]))
    lake.replace_day("observations", project, other, day_of(3, other, project))
    counted = DuckDB().run(
        lambda t: t["observations"].group_by("day").agg(n=t["observations"].count()),
        lake,
        project,
        [DAY, other],
    )
    assert {row["day"]: row["n"] for row in counted.to_pylist()} == {DAY: 2, other: 3}
    assert lake.read_days("observations", project, [DAY, other]).num_rows == 5
    assert (lake.count("observations", project, DAY), lake.days("observations", project)) == (
        2,
        [DAY, other],
    )
    assert list(batches(lake, project, [DAY, other], rows=4)) == [[DAY], [other]]
    assert {done.removed for done in tidy(lake, today=DAY, keep_hours=0)} == {1}
    assert held(lake, project=project) == 2
