"""The lake's Parquet files: opened wherever they are, and whole in the columns of this version.

Local files are opened as such. Those of an object store go through delta-rs, which has the store's
credentials already; nothing else has to be installed or configured for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from llmops_jobs.lake import schema

if TYPE_CHECKING:
    import pyarrow.dataset as pa_dataset
    import pyarrow.parquet as pq

    from llmops_jobs.lake.lake import Lake

A = TypeVar("A")
B = TypeVar("B")
# Files of an object store that are read side by side: each costs round trips, not CPU.
_PARALLEL: Final = 8
_PART_ROWS: Final = 250_000


def filesystem(lake: Lake, table: str) -> Any:
    """The table's folder as a file system of Arrow's."""
    import pyarrow.fs as pa_fs
    from deltalake.fs import DeltaStorageHandler

    return pa_fs.PyFileSystem(DeltaStorageHandler(lake.uri(table), options=lake.storage_options))


def open_file(lake: Lake, table: str, file: str) -> pq.ParquetFile:
    """A file by its address, as `Lake.files` gives it; a context that closes it."""
    import pyarrow.parquet as pq

    if lake.is_local:
        return pq.ParquetFile(file)
    return pq.ParquetFile(_inside(lake, table, file), filesystem=filesystem(lake, table))


def read(lake: Lake, table: str, project: str, days: Sequence[date], wanted: pa.Schema) -> pa.Table:
    """The rows of days in the order of the days. Raises FileNotFoundError when a file was replaced
    and removed since the list of files was made."""
    inside = [name for name in wanted.names if name not in schema.PARTITION]
    listed = lake.listing(table)
    files = [(day, file) for day in days for file in listed.get((project, day), ())]

    def read_one(place: tuple[date, str]) -> pa.Table:
        with open_file(lake, table, place[1]) as parquet:
            # Without one column the number of rows would be lost.
            rows = parquet.read(inside or [schema.TABLES[table].names[2]])
        rows = _with_new_columns(with_partition(rows, project, place[0]), wanted)
        return rows.select(wanted.names).cast(wanted)

    tables = _mapped(read_one, files, lake.is_local)
    return pa.concat_tables(tables) if tables else wanted.empty_table()


def parts(
    lake: Lake,
    table: str,
    project: str,
    day: date,
    columns: Sequence[str],
    rows_at_once: int = _PART_ROWS,
) -> Iterator[pa.Table]:
    """A day's rows in their order, a part after the other: memory is that of one. None of a day
    that was never written."""
    wanted = pa.schema([schema.TABLES[table].field(name) for name in columns])
    inside = [name for name in columns if name not in schema.PARTITION]
    for file in lake.files(table, project, [day]):
        with open_file(lake, table, file) as parquet:
            known = [name for name in inside if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(rows_at_once, columns=known):
                rows = with_partition(pa.Table.from_batches([batch]), project, day)
                yield _with_new_columns(rows, wanted).select(wanted.names).cast(wanted)


def lacking(lake: Lake, table: str, files: Sequence[str]) -> set[str]:
    """Columns of this version that some of the files were written before."""
    unread = [file for file in files if file not in _columns]
    if len(_columns) + len(unread) > _KNOWN_FILES:
        _columns.clear()
        unread = list(files)

    def read_one(file: str) -> frozenset[str]:
        with open_file(lake, table, file) as parquet:
            return frozenset(parquet.schema_arrow.names)

    _columns.update(zip(unread, _mapped(read_one, unread, lake.is_local), strict=True))
    known = frozenset(schema.TABLES[table].names) - set(schema.PARTITION)
    return set().union(*(known - _columns[file] for file in files))


# Files never change: what columns each has is read once in a process.
_columns: dict[str, frozenset[str]] = {}
_KNOWN_FILES: Final = 20_000


def _mapped(work: Callable[[A], B], items: Sequence[A], is_local: bool) -> list[B]:
    if is_local or len(items) < 2:
        return list(map(work, items))
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(work, items))


def dataset(
    lake: Lake, table: str, project: str, days: Sequence[date]
) -> pa_dataset.FileSystemDataset:
    """The files of days as one Arrow dataset with all columns of this version but `project_id`;
    columns that a file was written before are null in its rows."""
    import pyarrow.compute as pc
    import pyarrow.dataset as pa_dataset
    import pyarrow.fs as pa_fs

    fields = schema.TABLES[table].remove(schema.TABLES[table].get_field_index("project_id"))
    listed = lake.listing(table)
    places = [(day, file) for day in days for file in listed.get((project, day), ())]
    return pa_dataset.FileSystemDataset.from_paths(
        [file if lake.is_local else _inside(lake, table, file) for _, file in places],
        schema=fields,
        format=pa_dataset.ParquetFileFormat(),
        filesystem=pa_fs.LocalFileSystem() if lake.is_local else filesystem(lake, table),
        partitions=[pc.field("day") == pa.scalar(day, pa.date32()) for day, _ in places],
    )


def with_partition(rows: pa.Table, project: str, day: date) -> pa.Table:
    rows = rows.drop_columns([name for name in schema.PARTITION if name in rows.column_names])
    return rows.append_column(
        "project_id", pa.repeat(pa.scalar(project, pa.string()), rows.num_rows)
    ).append_column("day", pa.repeat(pa.scalar(day, pa.date32()), rows.num_rows))


def _inside(lake: Lake, table: str, file: str) -> str:
    return file.removeprefix(f"{lake.uri(table)}/")


def _with_new_columns(rows: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Columns that the day was written before, as null, or empty where they are text."""
    for field in wanted:
        if field.name not in rows.column_names:
            blank = pa.scalar("" if pa.types.is_string(field.type) else None, field.type)
            rows = rows.append_column(field.name, pa.repeat(blank, rows.num_rows))
    return rows
