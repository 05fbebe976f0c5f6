"""Delta tables under one URL: replace a day, read a day, list the files of a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from llmops_jobs.lake import schema

if TYPE_CHECKING:
    from deltalake import DeltaTable


class Lake:
    """Tables of `schema.TABLES` under `url`: a folder, or any object store that delta-rs knows.

    Writing replaces one (project, day) in one commit: a reader sees the old day or the new one.
    """

    def __init__(self, url: str, storage_options: dict[str, str] | None = None) -> None:
        self.url = url if "://" in url else str(Path(url).expanduser().resolve())
        self.storage_options = storage_options

    def replace_day(self, table: str, project: str, day: date, rows: pa.Table) -> None:
        """Replaces one project's day of a table.

        `rows` may leave out the two partition columns; every other column of the schema must be
        there, in any order.
        """
        from deltalake import write_deltalake

        target = schema.TABLES[table]
        rows = _with_partition(rows, project, day).select(target.names).cast(target)
        write_deltalake(
            self._uri(table),
            rows,
            mode="overwrite",
            partition_by=list(schema.PARTITION),
            predicate=f"project_id = {_literal(project)} AND day = '{day.isoformat()}'",
            storage_options=self.storage_options,
        )

    def read_day(
        self, table: str, project: str, day: date, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """One project's day; an empty table, with the right columns, when it was never written."""
        return self.read_days(table, project, [day], columns)

    def read_days(
        self, table: str, project: str, days: Sequence[date], columns: Sequence[str] | None = None
    ) -> pa.Table:
        names = list(columns) if columns is not None else schema.TABLES[table].names
        delta = self._open(table)
        if delta is None or not days:
            return schema.empty(table).select(names)
        rows = delta.to_pyarrow_table(
            columns=names,
            partitions=[
                ("project_id", "=", project),
                ("day", "in", [day.isoformat() for day in days]),
            ],
        )
        wanted = pa.schema([schema.TABLES[table].field(name) for name in names])
        return rows.cast(wanted)

    def files(self, table: str, project: str, days: Sequence[date]) -> list[str]:
        """Addresses of the Parquet files that now hold these days. Partition columns are in the
        path (`day=2026-01-31`), not in the files."""
        delta = self._open(table)
        if delta is None or not days:
            return []
        return delta.file_uris(
            partition_filters=[
                ("project_id", "=", project),
                ("day", "in", [day.isoformat() for day in days]),
            ]
        )

    def days(self, table: str, project: str) -> list[date]:
        """The days that hold rows, in order."""
        delta = self._open(table)
        if delta is None:
            return []
        return sorted(
            {
                date.fromisoformat(part["day"])
                for part in delta.partitions()
                if part["project_id"] == project
            }
        )

    def _open(self, table: str) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._uri(table), storage_options=self.storage_options)
        except TableNotFoundError:
            return None

    def _uri(self, table: str) -> str:
        return f"{self.url.rstrip('/')}/{table}"


def _with_partition(rows: pa.Table, project: str, day: date) -> pa.Table:
    rows = rows.drop_columns([name for name in schema.PARTITION if name in rows.column_names])
    return rows.append_column(
        "project_id", pa.repeat(pa.scalar(project), rows.num_rows)
    ).append_column("day", pa.repeat(pa.scalar(day, pa.date32()), rows.num_rows))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
