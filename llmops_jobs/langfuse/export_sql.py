"""The SQL that reads one file of an export, whatever its format, into the columns of `raw`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.raw import RAW_OBSERVATIONS, RAW_SCORES, Batch

if TYPE_CHECKING:
    import duckdb

_BATCH: Final = 20_000
# Column of the export -> ours, where the names differ.
_OBSERVATION_NAMES: Final = {
    "id": "observation_id",
    "provided_model_name": "model",
    "latency": "latency_s",
    "time_to_first_token": "time_to_first_token_s",
    "is_root_observation": "is_root",
}
_SCORE_NAMES: Final = {"id": "score_id"}
_JSON_COLUMNS: Final = tuple(
    sorted(
        {name for schema in (RAW_OBSERVATIONS, RAW_SCORES) for name in schema.names}
        - {*_OBSERVATION_NAMES.values(), *_SCORE_NAMES.values()}
        | {*_OBSERVATION_NAMES, "model", "observation_id", "dataset_run_id", "input", "output"}
    )
)


@dataclass(frozen=True)
class File:
    """One file of the export; `end` is the end of its window, from its name."""

    path: str
    kind: str  # parquet, json, csv
    end: datetime | None
    size: int


def relation(file: File) -> str:
    """What to select from."""
    path = "'" + file.path.replace("'", "''") + "'"
    if file.kind == "parquet":
        return f"read_parquet({path})"
    if file.kind == "csv":
        # Everything is text: a column of empty strings must not become numbers.
        options = "all_varchar = true, header = true, max_line_size = 8388608"
        return f"read_csv({path}, {options}, buffer_size = 33554432)"
    # No guessing of types: each value is taken as JSON and cast below, by itself.
    columns = ", ".join(f"{name}: 'JSON'" for name in _JSON_COLUMNS)
    return f"read_json({path}, maximum_object_size = 67108864, columns = {{{columns}}})"


def columns_of(connection: duckdb.DuckDBPyConnection, file: File) -> dict[str, str]:
    """The file's columns and their SQL types; none for an empty file."""
    import duckdb

    if file.kind == "json":
        return dict.fromkeys(_JSON_COLUMNS, "JSON")
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation(file)}").fetchall()
    except duckdb.Error as error:
        if file.kind == "csv" and file.size == 0:
            return {}  # a window without rows
        raise SourceError(f"{file.path} cannot be read: {_first_line(error)}") from error
    return {str(row[0]): str(row[1]) for row in described}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]


def read_file(
    connection: duckdb.DuckDBPyConnection,
    file: File,
    table: str,
    instant: str,
    target: pa.Schema,
    first: datetime,
    end: datetime,
) -> Iterator[Batch]:
    """The rows of [first, end), in batches; rows of no time at all with the file's own day.

    Raises SourceError for a file that is cut or damaged.
    """
    import duckdb

    held = columns_of(connection, file)
    if instant not in held:
        return
    names = _OBSERVATION_NAMES if table == "observations_v2" else _SCORE_NAMES
    theirs = {ours: name for name, ours in names.items()}
    select = [
        f"{_cast(theirs.get(field.name, field.name), field, held, table)} AS {field.name}"
        for field in target
    ]
    when = _instant(instant, held)
    query = (
        f"SELECT {', '.join(select)} FROM {relation(file)} "
        f"WHERE {when} >= '{first.isoformat()}'::TIMESTAMPTZ "
        f"AND {when} < '{end.isoformat()}'::TIMESTAMPTZ"
    )
    if file.end is None or first < file.end <= end:
        query += f" OR {when} IS NULL"  # of no day at all: refused with the file's own day
    pages, size = 1, file.size
    try:
        for batch in connection.sql(query).to_arrow_reader(_BATCH):
            rows = pa.Table.from_batches([batch]).cast(target)
            yield Batch(rows, pages=pages, bytes=size)
            pages = size = 0
    except duckdb.Error as error:
        raise SourceError(f"{file.path} cannot be read: {_first_line(error)}") from error


def _cast(name: str, field: pa.Field, held: dict[str, str], table: str) -> str:
    """The SQL that makes one of our columns of whatever the file has."""
    kind = field.type
    if table == "scores" and name == "subject_kind":
        return _subject_kind(held)
    if name not in held:
        return f"NULL::{_sql_type(kind)}"
    if pa.types.is_timestamp(kind):
        return _instant(name, held)
    if name in ("metadata", "model_parameters", "usage_details", "cost_details"):
        return as_json(name, held)
    if pa.types.is_list(kind):
        return name if "[]" in held[name] else f"TRY_CAST(TRY_CAST({name} AS JSON) AS VARCHAR[])"
    return f"TRY_CAST({text_of(name, held)} AS {_sql_type(kind)})"


def text_of(name: str, held: dict[str, str]) -> str:
    """A column as text, a JSON string without its quotes."""
    return f"({name} ->> '$')" if held[name] == "JSON" else name


def _subject_kind(held: dict[str, str]) -> str:
    cases = [
        f"WHEN coalesce({text_of(column, held)}, '') <> '' THEN '{kind}'"
        for column, kind in (
            ("observation_id", "observation"),
            ("trace_id", "trace"),
            ("session_id", "session"),
            ("dataset_run_id", "experiment"),
        )
        if column in held
    ]
    return f"CASE {' '.join(cases)} ELSE '' END" if cases else "''"


def _instant(name: str, held: dict[str, str]) -> str:
    """Text formats write UTC without a zone; Parquet has it in the type."""
    if held[name].startswith("TIMESTAMP WITH"):
        return name
    return f"timezone('UTC', TRY_CAST({text_of(name, held)} AS TIMESTAMP))"


def as_json(name: str, held: dict[str, str]) -> str:
    """A column of objects as JSON text."""
    if name not in held:
        return "'{}'"
    if held[name] in ("VARCHAR", "JSON"):
        # A JSON column may be an object, or a string that holds one.
        return f"coalesce(nullif({text_of(name, held)}, ''), '{{}}')"
    return f"coalesce(to_json({name})::VARCHAR, '{{}}')"


def _sql_type(kind: pa.DataType) -> str:
    for test, name in (
        (pa.types.is_timestamp, "TIMESTAMPTZ"),
        (pa.types.is_list, "VARCHAR[]"),
        (pa.types.is_floating, "DOUBLE"),
        (pa.types.is_integer, "BIGINT"),
        (pa.types.is_boolean, "BOOLEAN"),
    ):
        if test(kind):
            return name
    return "VARCHAR"
