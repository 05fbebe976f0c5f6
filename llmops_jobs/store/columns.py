"""Column types and groups of columns that several tables share."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from llmops_jobs.dimensions import MEANING

_NANO = Decimal("0.000000001")


class Usd(TypeDecorator[Decimal]):
    """US dollars, exact to a nano-dollar; Decimal in Python.

    SQLite has no decimal type: there the value is stored as a number that carries 15 digits, which
    is exact to the nano-dollar up to a million dollars a cell.
    """

    impl = sa.Numeric(20, 9)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Float())
        return dialect.type_descriptor(sa.Numeric(20, 9))

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        exact = (value if isinstance(value, Decimal) else Decimal(repr(float(value)))).quantize(
            _NANO
        )
        return float(exact) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        return None if value is None else Decimal(str(value)).quantize(_NANO)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant; stored without zone where the database has none."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def project() -> sa.Column[str]:
    return sa.Column("project_id", sa.String(255), primary_key=True, comment="Langfuse project")


def day(name: str = "day", comment: str = "UTC day of the start time") -> sa.Column[Any]:
    return sa.Column(name, sa.Date, primary_key=True, comment=comment)


def text_key(name: str, comment: str, length: int = 255) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), primary_key=True, comment=comment)


def dimensions(*extra: sa.Column[Any]) -> list[sa.Column[Any]]:
    """The columns of `llmops_jobs.dimensions`, all part of the key; '' when missing."""
    columns: list[sa.Column[Any]] = []
    for name, meaning in MEANING.items():
        kind = sa.Boolean() if name == "is_evaluation" else sa.String(255)
        columns.append(sa.Column(name, kind, primary_key=True, comment=meaning))
    return [*columns, *extra]


def count(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, default=0, comment=comment)


def number(name: str, comment: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=True, comment=comment)


def usd(name: str, comment: str, *, nullable: bool = True) -> sa.Column[Decimal]:
    return sa.Column(name, Usd, nullable=nullable, comment=comment)


def text(name: str, comment: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, default="", comment=comment)


def instant(name: str, comment: str, *, nullable: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, Instant, nullable=nullable, comment=comment)
