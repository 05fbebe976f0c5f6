"""What is lost, cut short or overwritten: a re-run makes it good. The other faults of
`bench.damage` take longer and run by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from bench import damage, faults
from llmops_jobs.lake import Lake
from llmops_jobs.lake.check import holds, readable
from llmops_jobs.store import Database, migrate
from tests.facts import facts

DAY = date(2026, 3, 4)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[faults.Site]:
    with damage.undisturbed(tmp_path_factory.mktemp("damage"), requests=30) as place:
        yield place


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["file_size_limit", "corrupted_files", "lost_tables", "overlapping_backfills"]
)
def test_a_re_run_after_a_fault_gives_the_undisturbed_tables(
    right: faults.Site, fault: str
) -> None:
    done = damage.suffer(right, fault)
    assert done.left_out == ""
    assert done.differences == []


def written(lake: Lake, count: int) -> Path:
    rows = facts("observations", [{"trace_id": f"t{i}"} for i in range(count)])
    lake.replace_day("observations", "p", DAY, rows)
    (file,) = lake.files("observations", "p", [DAY])
    return Path(file)


def test_a_day_is_held_when_every_row_can_be_read(lake: Lake) -> None:
    written(lake, 20)
    assert holds(lake, "observations", "p", DAY, 20)
    assert not holds(lake, "observations", "p", DAY, 21)
    assert not holds(lake, "observations", "p", date(2026, 3, 5), 1)
    assert holds(lake, "observations", "p", date(2026, 3, 5), 0)


@pytest.mark.parametrize("harm", ["lost", "cut", "overwritten", "emptied"])
def test_a_day_whose_file_is_damaged_is_not_held(lake: Lake, harm: str) -> None:
    file = written(lake, 20)
    content = file.read_bytes()
    if harm == "lost":
        file.unlink()
    else:
        file.write_bytes(
            {"cut": content[:100], "overwritten": b"x" * len(content), "emptied": b""}[harm]
        )
    assert not holds(lake, "observations", "p", DAY, 20)
    assert readable(lake, "observations", "p", DAY).num_rows == 0


def test_a_disk_that_does_not_answer_is_not_taken_for_a_damaged_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a day that the source may no longer have would be thrown away."""
    written(lake, 3)

    def refused(*_: object, **__: object) -> pa.Table:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Lake, "read_day", refused)
    with pytest.raises(PermissionError):
        readable(lake, "observations", "p", DAY)


def test_tables_come_to_be_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    database = Database(f"sqlite:///{tmp_path}/cut.db")
    create_all = migrate.METADATA.create_all

    def cut_off(connection: sa.Connection) -> None:
        create_all(connection)
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(migrate.METADATA, "create_all", cut_off)
        with pytest.raises(OSError, match="no space left"):
            database.create()
    assert sa.inspect(database.engine).get_table_names() == []
    database.create()
    assert migrate.current(database.engine) == migrate.HEAD
    database.engine.dispose()


def test_an_emptied_database_is_filled_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/back.db")
    database.create()
    migrate.downgrade(database.engine, "base")
    assert migrate.current(database.engine) is None
    database.create()
    assert migrate.current(database.engine) == migrate.HEAD
    assert database.table("heartbeat").empty
    database.engine.dispose()
