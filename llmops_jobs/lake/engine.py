"""Runs one aggregate over the lake's days: the same Ibis expression on every engine.

A *definition* is a function from the lake's tables (as Ibis tables) to one Ibis expression. It is
compiled once per engine and run on the files of whatever days are asked for. Ask for one day at a
time where you can: memory then depends on a day, not on the range.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from llmops_jobs.lake import files, schema
from llmops_jobs.lake.lake import Lake
from llmops_jobs.lake.shared import Kept, is_kept

if TYPE_CHECKING:
    import ibis.expr.types as ir

#: From the lake's tables, as Ibis tables, to one Ibis table.
Definition = Callable[[Mapping[str, "ir.Table"]], "ir.Table"]


_OPENING = threading.Lock()


def exact_sum(value: Any) -> Any:
    """A sum of floats that is the same in whatever order an engine's threads add them up.

    Doubles are added as decimals of 18 places: below 1e20 in total, exact to 1e-18 a row.
    """
    return value.cast("decimal(38, 18)").sum().cast("float64")


class Engine(Protocol):
    def run(
        self,
        definition: Definition,
        lake: Lake,
        project: str,
        days: Sequence[date],
        extra: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """The aggregate over one project's days, as an Arrow table.

        `extra` are small tables of the caller's that the definition reads beside the lake's.
        """
        ...


class DuckDB:
    """The embedded engine: in this process, on the lake's Parquet files."""

    def run(
        self,
        definition: Definition,
        lake: Lake,
        project: str,
        days: Sequence[date],
        extra: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        extra = dict(extra or {})
        sql, tables, declared = compiled(
            definition,
            tuple((name, rows.schema) for name, rows in extra.items()),
            "duckdb",
            is_kept(lake, project, days),
        )
        for name in tables:
            if name in _STARTS:
                extra[name] = self._start(_STARTS[name], lake, project, days)
        with _connection() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for table in tables:
                if table in extra:
                    connection.register(table, extra[table])
                else:
                    _open_day(connection, lake, table, project, days)
            # DuckDB's own asks a time zone's calendar, for the same count at ten times the cost.
            sql = sql.replace("DATE_DIFF('MICROSECOND', ", "microseconds(")
            return _as_declared(connection.sql(sql).to_arrow_table(), declared)

    def _start(self, start: Definition, lake: Lake, project: str, days: Sequence[date]) -> pa.Table:
        _, tables, _ = compiled(start, (), "duckdb")
        read = [file for name in tables for file in lake.files(name, project, days)]
        return _KEPT.table(start, lake, read, lambda: self.run(start, lake, project, days))


_KEPT = Kept()
_STARTS: dict[str, Definition] = {}  # by the name under which a definition reads each


def _connection() -> Any:
    """A connection with views of its own. Opening a database costs 20 ms of CPU, more than a small
    day's aggregate: the process has one, in memory, that never holds a table."""
    with _OPENING:
        return _database().cursor()


@cache
def _database() -> Any:
    import duckdb

    database = duckdb.connect()
    database.execute("CREATE MACRO microseconds(a, b) AS epoch_us(b) - epoch_us(a)")
    return database


def _as_declared(rows: pa.Table, declared: pa.Schema) -> pa.Table:
    """DuckDB adds integers up in 128 bits, which Arrow shows as decimals: back to integers."""
    for place, field in enumerate(declared):
        if pa.types.is_integer(field.type) and pa.types.is_decimal(rows.schema.field(place).type):
            rows = rows.set_column(place, field.name, rows.column(place).cast(field.type))
    return rows


@cache
def compiled(
    definition: Definition,
    extra: tuple[tuple[str, pa.Schema], ...],
    dialect: str,
    keeps_starts: bool = False,
) -> tuple[str, tuple[str, ...], pa.Schema]:
    """The definition as SQL, the tables that it reads, and the columns of its result. Where the
    engine keeps starts, they are among the tables.

    Compiling costs tens of milliseconds, reading a day less: hence the cache.
    """
    import ibis

    used: set[str] = set()
    schemas = {**schema.TABLES, **dict(extra)}

    class Tables(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            used.add(name)
            self[name] = ibis.table(ibis.Schema.from_pyarrow(schemas[name]), name=name)
            return self[name]

    class TablesAndStarts(Tables):
        def kept(self, start: Definition) -> Any:
            name = f"{start.__module__}.{start.__name__}"
            _STARTS[name] = start
            schemas[name] = compiled(start, (), dialect)[2]
            return self[name]

    expression = definition(TablesAndStarts() if keeps_starts else Tables())
    sql = str(ibis.to_sql(expression, dialect=dialect))
    return sql, tuple(sorted(used)), expression.schema().to_pyarrow()


def _open_day(connection: Any, lake: Lake, table: str, project: str, days: Sequence[date]) -> None:
    """A view of the days: on the files themselves where this process sees them and they have every
    column, through Arrow where they are in an object store or older than a column."""
    paths = lake.files(table, project, days)
    if not paths:
        connection.register(table, schema.empty(table))
        return
    new = files.lacking(lake, table, paths)
    if lake.is_local and not new:
        listed = ", ".join(_literal(path) for path in paths)
        source = f"read_parquet([{listed}], hive_partitioning = true)"
    else:
        connection.register(f"{table} files", files.dataset(lake, table, project, days))
        source = f'"{table} files"'
    body = ", ".join(
        f'coalesce("{field.name}", \'\') AS "{field.name}"'
        if field.name in new and pa.types.is_string(field.type)
        else f'"{field.name}"'
        for field in schema.TABLES[table]
        if field.name not in schema.PARTITION
    )
    connection.execute(
        f'CREATE TEMP VIEW "{table}" AS SELECT {_literal(project)} AS project_id, '
        f"CAST(day AS DATE) AS day, {body} FROM {source}"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def engine_for(name: str) -> Engine:
    """The engine that `LLMOPS_ENGINE` names."""
    if name == "duckdb":
        return DuckDB()
    if name == "spark":
        from llmops_jobs.lake.spark import Spark

        return Spark()
    raise ValueError(f"unknown engine {name!r}")
