"""Files out of the ledger and the marts: FOCUS rows and plain Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from llmops_jobs.errors import UserError
from llmops_jobs.ledger.book import load_book

if TYPE_CHECKING:
    import sqlalchemy as sa

    from llmops_jobs.deployment import Deployment


def focus_days(
    home: Deployment, days: Sequence[date], by: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """FOCUS rows, a table for every project and day that holds calls.

    Raises UserError for a day that was priced with another book than the configured one: its
    rows would not sum to the ledger.
    """
    from llmops_jobs.ledger.focus import READ, READ_COSTS, focus_rows

    book = load_book(home.settings.ledger)
    for project in home.projects():
        for day in days:
            costs = home.lake.read_day("costs", project.id, day, READ_COSTS)
            if costs.num_rows == 0:
                continue
            hashes = set(costs["price_book_hash"].unique().to_pylist())
            if hashes != {book.hash}:
                raise UserError(
                    f"{day} of project {project.name} was priced with another price book: run "
                    f"`llmops run --from {day} --to {day} --select costs,usage_daily` first"
                )
            calls = home.lake.read_day("observations", project.id, day, READ)
            yield focus_rows(
                *(book, calls, costs),
                project=project.id,
                project_name=project.name,
                day=day,
                by=by,
            )


def write_focus(tables: Iterator[pa.Table], path: Path, kind: str) -> int:
    """Writes the rows, a day at a time, and returns their number. The file appears when whole."""
    from llmops_jobs.ledger.focus_columns import SCHEMA

    rows = 0
    with _whole(path) as part:
        if kind == "parquet":
            import pyarrow.parquet as pq

            with pq.ParquetWriter(part, SCHEMA) as writer:
                for table in tables:
                    writer.write_table(table)
                    rows += table.num_rows
        else:
            import pyarrow.csv as csv

            with csv.CSVWriter(part, _as_text(SCHEMA.empty_table()).schema) as writer:
                for table in tables:
                    writer.write_table(_as_text(table))
                    rows += table.num_rows
    return rows


def write_marts(
    home: Deployment, folder: Path, tables: Sequence[str], first: date | None, last: date | None
) -> dict[str, int]:
    """A Parquet file for every table, and the number of its rows."""
    import pyarrow.parquet as pq

    from llmops_jobs.store.tables import TABLES

    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise UserError(f"there is no table {unknown[0]}; there are {', '.join(sorted(TABLES))}")
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name in tables or sorted(TABLES):
        target = TABLES[name]
        dated = "day" in target.c or "as_of" in target.c
        frame = home.database.table(name, None, *((first, last) if dated else (None, None)))
        schema = pa.schema([_field(column) for column in target.c])
        table = pa.Table.from_pylist(frame.to_dict("records"), schema=schema)
        with _whole(folder / f"{name}.parquet") as part:
            pq.write_table(table, part)
        written[name] = table.num_rows
    return written


def _field(column: sa.Column[Any]) -> pa.Field:
    comment = {"comment": column.comment} if column.comment else None
    return pa.field(column.name, _arrow_type(column.type), metadata=comment)


def _arrow_type(kind: Any) -> pa.DataType:
    import sqlalchemy as sa

    from llmops_jobs.store.columns import Instant, Usd

    known: list[tuple[Any, pa.DataType]] = [
        (Usd, pa.decimal128(20, 9)),
        (Instant, pa.timestamp("us", tz="UTC")),
        (sa.DateTime, pa.timestamp("us")),
        (sa.Date, pa.date32()),
        (sa.Boolean, pa.bool_()),
        (sa.Float, pa.float64()),
        (sa.Integer, pa.int64()),
    ]
    return next((arrow for sql, arrow in known if isinstance(kind, sql)), pa.string())


def _as_text(table: pa.Table) -> pa.Table:
    """Numbers without exponents and instants as ISO 8601 in UTC, as FOCUS asks for."""
    import pyarrow.compute as pc

    shown: dict[str, Any] = {}
    for field in table.schema:
        column = table[field.name]
        if pa.types.is_timestamp(field.type):
            shown[field.name] = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
        elif pa.types.is_decimal(field.type):
            texts = [None if each is None else f"{each:f}" for each in column.to_pylist()]
            shown[field.name] = pa.array(texts, pa.string())
        else:
            shown[field.name] = column
    return pa.table(shown)


class _whole:  # noqa: N801 - reads as a statement
    """A file that takes its name only when it was written to the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}.part")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.part

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)
