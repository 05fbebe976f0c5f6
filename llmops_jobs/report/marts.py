"""Reading the marts: every table once a run, cut into days in memory.

A run over sixty days makes seventy reports that look back months; asking the database per report
would read every row a hundred times. Money is summed in whole nano-dollars, so a sum depends
neither on order nor on rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from llmops_jobs.report.daily import NANO, Daily
from llmops_jobs.report.latency import Histograms
from llmops_jobs.report.rates import Votes, Windows
from llmops_jobs.store import Database
from llmops_jobs.store.columns import Usd
from llmops_jobs.store.tables import TABLES

SPLITS = ("feature", "model", "tenant", "environment", "provider", "project_id")
_MEASURES = (
    "requests",
    "errors",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)


class Marts:
    """The tables of some projects for the days [first, last]; a slice per question."""

    def __init__(
        self, database: Database, projects: Sequence[str], first: date, last: date
    ) -> None:
        self.database = database
        self.projects = tuple(projects)
        self.first, self.last = first, last
        self._tables: dict[str, tuple[pd.DataFrame, np.ndarray]] = {}
        self.histogram = lru_cache(maxsize=None)(self._histogram)
        self.daily = lru_cache(maxsize=None)(self._daily)
        self.quality = lru_cache(maxsize=None)(self._quality)
        self.unpriced = lru_cache(maxsize=None)(self._unpriced)
        self.votes = lru_cache(maxsize=None)(self._votes)

    def rows(self, table: str, first: date, last: date) -> pd.DataFrame:
        """Rows of the days (or `as_of` days) [first, last], days in order; money as float USD."""
        if table not in self._tables:
            self._tables[table] = self._read(table)
        frame, ordinals = self._tables[table]
        start, end = np.searchsorted(ordinals, [first.toordinal(), last.toordinal() + 1])
        return frame.iloc[start:end]

    def product(self, table: str, first: date, last: date) -> pd.DataFrame:
        """`rows` without evaluation overhead."""
        key = f"{table}, product"
        if key not in self._tables:
            frame = self.rows(table, self.first, self.last)
            frame = frame[~frame["is_evaluation"].to_numpy(dtype=bool)]
            self._tables[key] = (frame, frame["ordinal"].to_numpy())
        return self.rows(key, first, last)

    def on(self, table: str, day: date) -> pd.DataFrame:
        return self.rows(table, day, day)

    def everything(self, table: str) -> pd.DataFrame:
        """All rows of a table that has no days of its own."""
        if table not in self._tables:
            target = TABLES[table]
            query = sa.select(*(_plain(column) for column in target.c))
            if "project_id" in target.c:
                query = query.where(target.c.project_id.in_(self.projects))
            frame = self.database.read(query.order_by(*target.primary_key.columns))
            self._tables[table] = (frame, np.empty(0))
        return self._tables[table][0]

    def _read(self, table: str) -> tuple[pd.DataFrame, np.ndarray]:
        target = TABLES[table]
        day = target.c["day" if "day" in target.c else "as_of"]
        query = (
            sa.select(*(_plain(column) for column in target.c))
            .where(target.c.project_id.in_(self.projects), day.between(self.first, self.last))
            .where(*_shown(target))
            .order_by(day, *target.primary_key.columns)
        )
        return _by_day(self.database.read(query), day.name)

    def usage(self) -> pd.DataFrame:
        """`usage_daily` summed to the splits that a report shows: `ordinal`, the splits,
        `is_evaluation`, `price_status`, measures, and `cost` in nano-dollars."""
        if "usage" not in self._tables:
            target = TABLES["usage_daily"]
            keys = [target.c[name] for name in ("day", *SPLITS, "is_evaluation", "price_status")]
            query = (
                sa.select(
                    *keys,
                    *(sa.cast(sa.func.sum(target.c[name]), sa.BigInteger) for name in _MEASURES),
                    sa.cast(sa.func.sum(target.c.cost_usd), sa.Double),
                )
                .where(
                    target.c.project_id.in_(self.projects),
                    target.c.day.between(self.first, self.last),
                )
                .group_by(*keys)
                .order_by(*keys)
            )
            frame = self.database.read(query)
            names = ("day", *SPLITS, "is_evaluation", "price_status", *_MEASURES, "cost_usd")
            frame.columns = pd.Index(names)
            frame["cost"] = np.rint(frame["cost_usd"].astype(float) * NANO).astype("int64")
            frame["is_evaluation"] = frame["is_evaluation"].astype(bool)
            self._tables["usage"] = _by_day(frame.drop(columns="cost_usd"), "day")
        return self._tables["usage"][0]

    def _usage_by(self, split: str | None, evaluation: bool = False) -> pd.DataFrame:
        """Product usage (or evaluation overhead) by day and split: index (ordinal, value)."""
        usage = self.usage()
        usage = usage[usage["is_evaluation"] == evaluation]
        keys = ["ordinal"] if split is None else ["ordinal", split]
        return usage.groupby(keys)[[*_MEASURES, "cost"]].sum()

    def _daily(self, split: str | None, evaluation: bool = False) -> Daily:
        frame = self._usage_by(split, evaluation)
        return Daily(frame, self.usage_days(), self.first, self.last)

    def price_books(self) -> list[tuple[date, str]]:
        """Day and hash of every price book that priced a call."""
        if "price_books" not in self._tables:
            target = TABLES["usage_daily"]
            query = (
                sa.select(target.c.day, target.c.price_book_hash)
                .where(
                    target.c.project_id.in_(self.projects),
                    target.c.day.between(self.first, self.last),
                )
                .distinct()
            )
            self._tables["price_books"] = (self.database.read(query), np.empty(0))
        frame = self._tables["price_books"][0]
        return list(zip(frame["day"], frame["price_book_hash"], strict=True))

    def _unpriced(self) -> pd.DataFrame:
        """Product calls without a price, by day (`ordinal`) and model."""
        usage = self.usage()
        rows = usage[(usage["price_status"] == "unpriced") & ~usage["is_evaluation"]]
        measures = ["requests", "input_tokens", "output_tokens"]
        return rows.groupby(["ordinal", "model"], as_index=False)[measures].sum()

    def usage_days(self) -> np.ndarray:
        """Ordinals of the days that have any usage."""
        return np.unique(self.usage()["ordinal"].to_numpy())

    def _quality(self, days: int) -> Windows:
        return Windows(self.rows("quality_window", self.first, self.last), days)

    def _votes(self) -> Votes:
        rows, traces = (
            self.product(table, self.first, self.last)
            for table in ("feedback_daily", "trace_daily")
        )
        return Votes(rows, traces)

    def _histogram(self, level: str, metric: str, split: str) -> Histograms:
        """Mergeable latency histograms by day and value of `split`."""
        target = TABLES["latency_histogram"]
        keys = [target.c.day, target.c[split], target.c.bucket]
        query = (
            sa.select(
                *keys,
                sa.cast(sa.func.sum(target.c.n), sa.BigInteger).label("n"),
                sa.func.max(target.c.gamma).label("gamma"),
            )
            .where(
                target.c.project_id.in_(self.projects),
                target.c.day.between(self.first, self.last),
                target.c.level == level,
                target.c.metric == metric,
                target.c.is_evaluation.is_(False),
            )
            .group_by(*keys)
            .order_by(*keys)
        )
        with self.database.engine.connect() as connection:
            return Histograms(connection.execute(query).fetchall())


def _shown(target: sa.Table) -> list[sa.ColumnElement[bool]]:
    """What a report can show of a table; some hold a hundred times more, for other readers."""
    columns = target.c
    if target.name in ("spend_forecast", "period_forecast"):
        return [columns.scope == "total", columns.metric == "cost_usd"]
    if target.name in ("anomaly", "forecast_score"):
        return [columns.metric == "cost_usd"]
    if target.name == "version_comparison":
        return [columns.slice == "total"]
    if target.name == "quality_window":
        by_feature = columns.scope.startswith("feature=", autoescape=True)
        return [columns.window_days.in_([7, 28]), sa.or_(columns.scope == "total", by_feature)]
    return []


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Money as a double: exact Decimals cost a second per ten thousand rows to build."""
    if isinstance(column.type, Usd):
        return sa.cast(column, sa.Double).label(column.name)
    return column


def _by_day(frame: pd.DataFrame, column: str) -> tuple[pd.DataFrame, np.ndarray]:
    ordinals = np.array([day.toordinal() for day in frame[column]], dtype="int64")
    return frame.assign(ordinal=ordinals), ordinals
