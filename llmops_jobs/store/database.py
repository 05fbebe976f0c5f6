"""Connecting to the database and the three ways of writing to it.

SQLite (the default, WAL) and Postgres are the two dialects. Every write is one transaction: a
reader sees the old window or the new one, and running a partition again gives the same rows.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from llmops_jobs.errors import ConfigError, UserError
from llmops_jobs.store.columns import Usd
from llmops_jobs.store.tables import TABLES


class Database:
    """The tables of `llmops_jobs.store.tables` behind one SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise ConfigError(
                "LLMOPS_DATABASE_URL is not a database URL; write sqlite:///path or "
                "postgresql+psycopg2://user:password@host/name"
            ) from error
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        self.url = parsed.render_as_string(hide_password=True)
        self.engine = sa.create_engine(parsed, pool_pre_ping=True)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _sqlite_pragmas)

    def create(self) -> None:
        """Brings an empty or older database to the tables of this version.

        Raises UserError when the server does not answer.
        """
        from llmops_jobs.store import migrate

        try:
            found = migrate.current(self.engine)
        except sa.exc.OperationalError as error:
            why = str(error.orig).strip().partition("\n")[0]
            raise UserError(
                f"the database {self.url} cannot be reached ({why}): see that its server runs; "
                "what was to be done is done again by the next tick or run"
            ) from error
        if found != migrate.HEAD:
            migrate.upgrade(self.engine)

    def replace_day(
        self, table: str, project: str, day: date, rows: pd.DataFrame | Iterable[pd.DataFrame]
    ) -> None:
        """Replaces the rows of one project and day (or `as_of` day) of a table."""
        column = "day" if "day" in TABLES[table].c else "as_of"
        self.replace(table, {"project_id": project, column: day}, rows)

    def replace_days(
        self, table: str, project: str, days: Sequence[date], rows: pd.DataFrame
    ) -> None:
        """`replace_day` for many days in one transaction, which costs little more than one; `rows`
        tell their `day`."""
        self.replace(table, {"project_id": project, "day": list(days)}, rows)

    def replace(
        self, table: str, window: Mapping[str, Any], rows: pd.DataFrame | Iterable[pd.DataFrame]
    ) -> None:
        """Deletes the rows that equal `window` and inserts `rows`, in one transaction.

        A list in `window` stands for any of its values: the rows tell which. Other columns of
        `window` are filled in where `rows` lack them. Many rows may come in parts, which are made
        ready for the database one at a time. Raises ValueError for a column that the table does
        not have; then nothing is changed.
        """
        target = TABLES[table]
        parts = [rows] if isinstance(rows, pd.DataFrame) else rows
        where = [
            target.c[name].in_(value) if isinstance(value, list) else target.c[name] == value
            for name, value in window.items()
        ]
        asked = repr(sorted(window.items()))
        window = {name: value for name, value in window.items() if not isinstance(value, list)}
        with self.engine.begin() as connection:
            _take_turns(connection, table, asked)
            connection.execute(sa.delete(target).where(*where))
            for part in parts:
                _refuse_unknown(target, part)
                if part.empty:
                    continue
                if connection.dialect.name == "sqlite":
                    _insert_fast(connection, target, part, window)
                else:
                    connection.execute(sa.insert(target), _records(part, window))

    def upsert(self, table: str, rows: pd.DataFrame) -> None:
        """Inserts rows, or updates those whose primary key is there already."""
        target = TABLES[table]
        _refuse_unknown(target, rows)
        if not rows.empty:
            with self.engine.begin() as connection:
                connection.execute(self.upsert_statement(target), _records(rows, {}))

    def upsert_statement(self, target: sa.Table) -> Any:
        """`INSERT … ON CONFLICT DO UPDATE` over the primary key, for this dialect."""
        insert = self._insert(target)
        keys = [column.name for column in target.primary_key]
        changed = {c.name: insert.excluded[c.name] for c in target.c if c.name not in keys}
        return insert.on_conflict_do_update(index_elements=keys, set_=changed)

    def insert_if_absent(self, target: sa.Table) -> Any:
        """`INSERT … ON CONFLICT DO NOTHING`, for this dialect."""
        return self._insert(target).on_conflict_do_nothing()

    def _insert(self, target: sa.Table) -> Any:
        postgres = self.engine.dialect.name == "postgresql"
        return postgresql.insert(target) if postgres else sqlite.insert(target)

    def read(self, query: sa.Select[Any] | str, **parameters: Any) -> pd.DataFrame:
        """A query's rows, as Python values: dates, Decimals and aware instants. Its columns have
        names of their own."""
        statement = sa.text(query) if isinstance(query, str) else query
        with self.engine.connect() as connection:
            result = connection.execute(statement, parameters)
            return _framed(list(result.keys()), result.fetchall())

    def read_parts(self, query: sa.Select[Any], rows_at_once: int) -> Iterator[pd.DataFrame]:
        """`read`, a part of the rows after the other: memory is that of one."""
        with self.engine.connect() as connection:
            result = connection.execution_options(yield_per=rows_at_once).execute(query)
            for rows in result.partitions():
                yield _framed(list(result.keys()), rows)

    def table(
        self,
        table: str,
        project: str | None = None,
        first: date | None = None,
        last: date | None = None,
        **equal: Any,
    ) -> pd.DataFrame:
        """Rows of a table, for one project and the days [first, last], both included."""
        target = TABLES[table]
        query = sa.select(target)
        if project is not None:
            query = query.where(target.c.project_id == project)
        column = target.c["day" if "day" in target.c else "as_of"] if first or last else None
        if first is not None and column is not None:
            query = query.where(column >= first)
        if last is not None and column is not None:
            query = query.where(column <= last)
        for name, value in equal.items():
            query = query.where(target.c[name] == value)
        return self.read(query.order_by(*target.primary_key.columns))


def _take_turns(connection: sa.Connection, table: str, window: str) -> None:
    """Waits for others that replace the same window. Postgres deletes what was there when the
    statement began: the insert would meet rows that others commit since. SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        digest = hashlib.blake2b(f"{table} {window}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "big", signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def _framed(names: Sequence[str], rows: Sequence[Any]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=names)
    # By columns: pandas takes rows of SQLAlchemy apart at twice the cost.
    return pd.DataFrame(dict(zip(names, zip(*rows, strict=True), strict=True)))


def _refuse_unknown(target: sa.Table, rows: pd.DataFrame) -> None:
    unknown = set(rows.columns) - set(target.c.keys())
    if unknown:
        raise ValueError(f"table {target.name} has no column {', '.join(sorted(unknown))}")


def _records(rows: pd.DataFrame, window: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns: dict[str, Iterable[Any]] = {
        str(name): _python_values(rows[name]) for name in rows.columns
    }
    for name, value in window.items():
        columns.setdefault(name, [value] * len(rows))
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _insert_fast(
    connection: sa.Connection, target: sa.Table, rows: pd.DataFrame, window: Mapping[str, Any]
) -> None:
    """Inserts by columns. SQLAlchemy binds value by value, which costs three times what SQLite
    itself needs; here each column is converted at once, and a constant one once."""
    columns: dict[str, Iterable[Any]] = {}
    for column in target.c:
        convert = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        if convert and isinstance(column.type, (sa.Date, sa.Boolean, Usd)):
            convert = lru_cache(1024)(convert)  # thousands of rows share a few values
        if column.name in window:
            value = window[column.name]
            columns[column.name] = itertools.repeat(convert(value) if convert else value)
        elif column.name in rows.columns:
            values = _python_values(rows[column.name])
            columns[column.name] = [convert(v) for v in values] if convert else values
        elif column.default is not None and column.default.is_scalar:
            columns[column.name] = itertools.repeat(column.default.arg)  # type: ignore[attr-defined]
    names = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in columns)
    marks = ", ".join("?" * len(columns))
    table = connection.dialect.identifier_preparer.format_table(target)
    connection.exec_driver_sql(
        f"INSERT INTO {table} ({names}) VALUES ({marks})",
        list(itertools.islice(zip(*columns.values(), strict=False), len(rows))),
    )


def _python_values(column: pd.Series) -> Sequence[Any]:
    values = column.astype(object)
    return (values.where(column.notna(), None) if column.hasnans else values).tolist()


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
