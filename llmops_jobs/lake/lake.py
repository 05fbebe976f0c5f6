"""Delta tables under one URL: replace a day, read a day, list the files of a day."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from llmops_jobs.lake import schema
from llmops_jobs.lake.files import read, with_partition
from llmops_jobs.lake.stream import Streamed, write_stream

if TYPE_CHECKING:
    from deltalake import DeltaTable

# Writers of different days never meet; of one day, they take turns this often.
_TRIES = 6
Files = dict[tuple[str, date], list[str]]


class Lake:
    """Tables of `schema.TABLES` under `url`: a folder, or any object store that delta-rs knows.

    Writing replaces one (project, day) in one commit: a reader sees the old day or the new one,
    never a part of either, and writers of different days do not disturb each other. Safe across
    threads and processes.
    """

    def __init__(self, url: str, storage_options: dict[str, str] | None = None) -> None:
        self.is_local = "://" not in url
        self.url = str(Path(url).expanduser().resolve()) if self.is_local else url
        self.storage_options = storage_options
        self._tables: dict[str, DeltaTable] = {}
        self._writing = threading.local()  # table -> DeltaTable, see `to_write`
        self._files: dict[str, tuple[int, Files, Counter[tuple[str, date]]]] = {}
        self._ready: set[str] = set()
        self._lock = threading.RLock()

    def replace_day(
        self, table: str, project: str, day: date, rows: pa.Table | Iterable[pa.Table]
    ) -> None:
        """Replaces one project's day of a table.

        `rows` may leave out the two partition columns; every other column of the schema must be
        there, in any order. Given as an iterable of tables, they are written as they come, so that
        memory does not grow with the day.
        """
        self.create(table)
        if not isinstance(rows, pa.Table):
            self.adopt(write_stream(self, table, project, day, rows))
            return
        target = schema.TABLES[table]
        self._last_wins(
            lambda: self._write(table, project, day, _batches([rows], target, project, day))
        )

    def adopt(self, streamed: Streamed) -> None:
        """Replaces a day by a file that was written beside the table."""
        self._last_wins(streamed.commit)

    def _last_wins(self, commit: Callable[[], None]) -> None:
        """Commits, again where somebody replaced the same day at the same moment."""
        from deltalake.exceptions import CommitFailedError

        for attempt in range(_TRIES):
            try:
                commit()
                return
            except CommitFailedError:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(0.05 * 2**attempt * (0.5 + random.random()))

    def _write(
        self, table: str, project: str, day: date, batches: Iterator[pa.RecordBatch]
    ) -> None:
        from deltalake import write_deltalake

        write_deltalake(
            self.to_write(table),
            pa.RecordBatchReader.from_batches(schema.TABLES[table], batches),
            mode="overwrite",
            predicate=f"project_id = {_literal(project)} AND day = '{day.isoformat()}'",
        )

    def create(self, table: str) -> None:
        """Makes the table before its first write, so that two first writers do not collide; adds
        the columns that a table of an older version lacks."""
        if table in self._ready:
            return
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        delta = self.delta(table)
        if delta is None:
            try:
                DeltaTable.create(
                    self.uri(table),
                    schema.TABLES[table],
                    mode="ignore",
                    partition_by=list(schema.PARTITION),
                    storage_options=self.storage_options,
                )
            except DeltaError:
                if not self.exists(table):  # somebody else was first: that is as good
                    raise
        else:
            known = {field.name for field in delta.schema().fields}
            new = [field for field in schema.TABLES[table] if field.name not in known]
            if new:
                from deltalake import Schema

                delta.alter.add_columns(Schema.from_arrow(pa.schema(new)).fields)
                self.forget(table)
        self._ready.add(table)

    def read_day(
        self, table: str, project: str, day: date, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """One project's day; an empty table, with the right columns, when it was never written."""
        return self.read_days(table, project, [day], columns)

    def read_days(
        self, table: str, project: str, days: Sequence[date], columns: Sequence[str] | None = None
    ) -> pa.Table:
        names = list(columns) if columns is not None else schema.TABLES[table].names
        wanted = pa.schema([schema.TABLES[table].field(name) for name in names])
        for attempt in (1, 2):
            try:
                return read(self, table, project, days, wanted)
            except FileNotFoundError:
                # Replaced and vacuumed since the list was made: the new list has the new files.
                self.forget(table)
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def files(self, table: str, project: str, days: Sequence[date]) -> list[str]:
        """Addresses of the Parquet files that now hold these days. Partition columns are in the
        path (`day=2026-01-31`), not in the files."""
        listed = self.listing(table)
        return [file for day in days for file in listed.get((project, day), ())]

    def days(self, table: str, project: str) -> list[date]:
        """The days that hold rows, in order."""
        return sorted(day for held, day in self.listing(table) if held == project)

    def exists(self, table: str) -> bool:
        """Whether the table was ever written."""
        return self.delta(table) is not None

    def delta(self, table: str) -> DeltaTable | None:
        """The table at its newest version, to read by; None before its first write."""
        from deltalake.exceptions import TableNotFoundError

        with self._lock:
            try:
                return self._newest(self._tables, table)
            except TableNotFoundError:
                self.forget(table)
                return None

    def to_write(self, table: str) -> DeltaTable:
        """The table at its newest version, for this thread alone: a commit moves the object on to
        its own version, under the hands of whoever reads by it. Raises DeltaError before the
        table's first write."""
        return self._newest(self._writing.__dict__, table)

    def _newest(self, kept: dict[str, DeltaTable], table: str) -> DeltaTable:
        """The table at its newest version, in the object that `kept` has of it."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        if table in kept:
            try:
                kept[table].update_incremental()
                return kept[table]
            except DeltaError:
                # Its log was cleaned under the cached version, or it is gone: open it anew.
                kept.pop(table, None)
                self.forget(table)
        kept[table] = DeltaTable(self.uri(table), storage_options=self.storage_options)
        return kept[table]

    def forget(self, table: str) -> None:
        """Drops what is cached of a table."""
        with self._lock:
            self._tables.pop(table, None)
            self._files.pop(table, None)

    def listing(self, table: str) -> Files:
        """(project, day) -> addresses of the files that now hold it."""
        with self._lock:
            delta = self.delta(table)
            if delta is None:
                return {}
            version = delta.version()
            if self._files.get(table, (-1,))[0] != version:
                self._files[table] = (version, *_list(delta, self.uri(table)))
            return self._files[table][1]

    def count(self, table: str, project: str, day: date) -> int:
        """How many rows a day holds, by the table's log."""
        self.listing(table)
        return self._files[table][2][project, day] if table in self._files else 0

    def uri(self, table: str) -> str:
        """The address of a table."""
        return f"{self.url.rstrip('/')}/{table}"


def _list(delta: DeltaTable, uri: str) -> tuple[Files, Counter[tuple[str, date]]]:
    actions = pa.table(delta.get_add_actions(flatten=True))
    files: Files = {}
    rows: Counter[tuple[str, date]] = Counter()
    for path, project, day, count in zip(
        actions["path"].to_pylist(),
        actions["partition.project_id"].to_pylist(),
        actions["partition.day"].to_pylist(),
        actions["num_records"].to_pylist(),
        strict=True,
    ):
        key = (project or "", day if isinstance(day, date) else date.fromisoformat(day))
        # The log escapes a path once; a file is found under its own name.
        files.setdefault(key, []).append(f"{uri}/{unquote(path)}")
        rows[key] += count or 0
    return files, rows


def _batches(
    parts: Iterable[pa.Table], target: pa.Schema, project: str, day: date
) -> Iterator[pa.RecordBatch]:
    for rows in parts:
        whole = with_partition(rows, project, day).select(target.names).cast(target)
        yield from whole.to_batches()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
