"""Views that are part of the tables: read like a table, never written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.ddl import CreateView

from llmops_jobs.store.tables.metadata import METADATA


class each_count(sa.sql.functions.GenericFunction[Any]):  # noqa: N801 (functions have small names)
    """The pairs (`key`, `value`) of a JSON object in a text column."""

    name = "json_each"
    inherit_cache = True


@compiles(each_count, "postgresql")
def _on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    (column,) = element.clauses
    return f"json_each_text(CAST({compiler.process(column, **options)} AS json))"


@compiles(sa.schema.SetTableComment, "postgresql")
def _comment_on_view(element: Any, compiler: Any, **options: Any) -> str:
    said: str = compiler.visit_set_table_comment(element, **options)
    return said if _is_table(element.element) else said.replace(" ON TABLE ", " ON VIEW ", 1)


def view(name: str, pairs: each_count, columns: Sequence[sa.Column[Any]], comment: str) -> sa.Table:
    """A view of `columns` with `bucket` and `n`, a row for each of `pairs`. Its key is every column
    of a key, and the bucket."""
    each = pairs.table_valued(sa.column("key", sa.Text), sa.column("value", sa.Text), name="each")
    bucket = sa.cast(each.c.key, sa.Integer).label("bucket")
    n = sa.cast(each.c.value, sa.BigInteger).label("n")
    query = sa.select(*columns, bucket, n).select_from(columns[0].table.join(each, sa.true()))
    table = CreateView(query, name, metadata=METADATA).table
    table.comment = comment
    for column in columns:
        table.c[column.name].comment = column.comment
    table.c.bucket.comment = "ceil(log_gamma(value)); see signals.histogram for zero and below"
    table.c.n.comment = "values in the bucket"
    keys = [table.c[column.name] for column in columns if column.primary_key]
    table.append_constraint(sa.PrimaryKeyConstraint(*keys, table.c.bucket))
    return table


def is_compared(thing: Any, _name: str | None, kind: str, *_: Any) -> bool:
    """Whether Alembic compares it with the database (its `include_object`): views it cannot."""
    return kind != "table" or _is_table(thing)


def _is_table(table: sa.Table) -> bool:
    return not isinstance(table._creator_ddl, CreateView)
