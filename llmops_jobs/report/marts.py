"""Reading the marts: every source once a run, cut into days in memory.

A run over sixty days makes seventy reports that look back months; asking the database per report
would read every row a hundred times. Rows are named tuples in the order of days. Money is summed
in whole nano-dollars, so a sum depends neither on order nor on rounding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import namedtuple
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa

from llmops_jobs.alerts.settings import Rule, Slo
from llmops_jobs.report.daily import NANO, Daily
from llmops_jobs.report.latency import Histograms
from llmops_jobs.report.rates import Votes, Windows
from llmops_jobs.report.sources import exact, query_of, whole
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

SPLITS = ("feature", "model", "tenant", "project_id")
MEASURES = (
    "requests",
    "errors",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)
# What alerts' series hold beside the labels of their slices.
_OF_A_DAY = ("day", "value", "n", "low", "high", "bad", "top", "bottom")
Row = Any  # a named tuple of a source's columns


class Marts:
    """The marts of some projects for the days [first, last]; a slice per question."""

    def __init__(
        self, database: Database, projects: Sequence[str], first: date, last: date
    ) -> None:
        self.database = database
        self.projects = tuple(projects)
        self.first, self.last = first, last
        self._kept: dict[str, tuple[list[Row], list[date]]] = {}
        self._measured: dict[str, dict[frozenset[tuple[str, str]], dict[date, Row]]] = {}
        self.daily = lru_cache(maxsize=None)(self._daily)
        self.quality = lru_cache(maxsize=None)(self._quality)
        self.histogram = lru_cache(maxsize=None)(self._histogram)

    def rows(self, source: str, first: date, last: date) -> list[Row]:
        """Rows of the days (or `as_of` days) [first, last]; `source` as in `sources`."""
        rows, days = self._read(source)
        return rows[bisect_left(days, first) : bisect_left(days, last + timedelta(days=1))]

    def on(self, source: str, day: date) -> list[Row]:
        return self.rows(source, day, day)

    def everything(self, table: str) -> list[Row]:
        """A table that is not kept by day, all of it."""
        return self._read(table)[0]

    def _read(self, source: str) -> tuple[list[Row], list[date]]:
        if source not in self._kept:
            query, day = query_of(source, self.projects, self.first, self.last)
            rows = self._fetch(query)
            days = [getattr(row, day) for row in rows] if day else []
            self._kept[source] = (rows, days)
        return self._kept[source]

    def _fetch(self, query: sa.Select[Any]) -> list[Row]:
        with self.database.engine.connect() as connection:
            result = connection.execute(query)
            make: Any = namedtuple("Row", result.keys())  # type: ignore[misc]
            return [make(*row) for row in result]

    @cached_property
    def _usage(self) -> list[Row]:
        """`usage_daily` summed to what a report splits by."""
        target = TABLES["usage_daily"]
        keys = [target.c[name] for name in ("day", *SPLITS, "is_evaluation", "price_status")]
        query = (
            sa.select(
                *keys,
                *(whole(target.c[name]).label(name) for name in MEASURES),
                exact(target.c.cost_usd).label("cost_usd"),
            )
            .where(
                target.c.project_id.in_(self.projects),
                target.c.day.between(self.first, self.last),
            )
            .group_by(*keys)
        )
        return self._fetch(query)

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        """The rows of usage by column: ordinals of days, codes of splits, whole numbers."""
        rows = self._usage
        names = ("day", *SPLITS, "is_evaluation", "price_status", *MEASURES, "cost_usd")
        columns = dict(
            zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True)
        )
        ordinals = {day: day.toordinal() for day in set(columns["day"])}
        made = {"day": np.array([ordinals[day] for day in columns["day"]], dtype="int64")}
        made["is_evaluation"] = np.array(columns["is_evaluation"], dtype=bool)
        made["cost"] = np.rint(np.array(columns["cost_usd"], dtype=float) * NANO).astype("int64")
        return made | {name: np.array(columns[name], dtype="int64") for name in MEASURES}

    def usage_days(self) -> np.ndarray:
        """Ordinals of the days that have any usage."""
        return np.unique(self._columns["day"])

    def _daily(self, split: str | None, evaluation: bool = False) -> Daily:
        """Product usage (or evaluation overhead) by day, and by value of a split."""
        columns = self._columns
        picked = np.flatnonzero(columns["is_evaluation"] == evaluation)
        values, codes = [""], np.zeros(len(picked), dtype="int64")
        if split is not None:
            place = ("day", *SPLITS).index(split)
            texts = [self._usage[row][place] for row in picked.tolist()]
            values = sorted(set(texts))
            code = {value: number for number, value in enumerate(values)}
            codes = np.array([code[text] for text in texts], dtype="int64")
        measures = {name: columns[name][picked] for name in (*MEASURES, "cost")}
        days = columns["day"][picked]
        return Daily(days, codes, values, measures, self.usage_days(), self.first, self.last)

    @cached_property
    def unpriced(self) -> list[tuple[date, str, int, int]]:
        """Product calls without a price: (day, model, calls, tokens)."""
        return [
            (row.day, row.model, row.requests, row.input_tokens + row.output_tokens)
            for row in self._usage
            if row.price_status == "unpriced" and not row.is_evaluation
        ]

    @cached_property
    def price_books(self) -> list[tuple[date, str]]:
        """Day and hash of every price book that priced a call."""
        target = TABLES["usage_daily"]
        query = (
            sa.select(target.c.day, target.c.price_book_hash)
            .where(
                target.c.project_id.in_(self.projects),
                target.c.day.between(self.first, self.last),
            )
            .distinct()
        )
        return [(row.day, row.price_book_hash) for row in self._fetch(query)]

    def failed(self, first: date, last: date) -> dict[str, Row]:
        """A failing score of each scorer: the least value of the newest of the days."""
        return {row.scorer: row for row in self.rows("failures", first, last)}

    def measured(self, told: Rule | Slo) -> dict[frozenset[tuple[str, str]], dict[date, Row]]:
        """What a rule or an objective watches: slice (its labels) -> day -> row with `value`, `n`
        and, where good and bad are counted, `bad`. One project's."""
        if told.name not in self._measured:
            from llmops_jobs.alerts.marts import LOOK_BACK
            from llmops_jobs.alerts.marts import Marts as Alerts
            from llmops_jobs.alerts.metrics import METRICS

            first = min(self.first + timedelta(days=LOOK_BACK), self.last)
            alerts = Alerts(self.database, self.projects[0], first, self.last)
            within = told.within if isinstance(told, Slo) else None
            frame = METRICS[told.metric].series(alerts, told.by, told.where, within)
            names = [name for name in frame.columns if name not in _OF_A_DAY]
            slices: dict[frozenset[tuple[str, str]], dict[date, Row]] = {}
            for row in frame.itertuples(index=False):
                labels = {**told.where, **{name: str(getattr(row, name)) for name in names}}
                slices.setdefault(frozenset(labels.items()), {})[row.day] = row
            self._measured[told.name] = slices
        return self._measured[told.name]

    def _quality(self, days: int) -> Windows:
        rows = self.rows("quality_window", self.first, self.last)
        return Windows([row for row in rows if row.window_days == days])

    @cached_property
    def votes(self) -> Votes:
        span = self.first, self.last
        return Votes(self.rows("votes", *span), self.rows("traces", *span))

    def _histogram(self, level: str, metric: str, dimension: str) -> Histograms:
        """Mergeable latency histograms by day: of everything and of each value of a dimension."""
        target = TABLES["latency_scope"]
        by_value = target.c.scope.startswith(f"{dimension}=", autoescape=True)
        query = (
            sa.select(target.c.day, target.c.scope, target.c.gamma, target.c.counts)
            .where(
                target.c.project_id.in_(self.projects),
                target.c.day.between(self.first, self.last),
                target.c.level == level,
                target.c.metric == metric,
                sa.or_(target.c.scope == "total", by_value),
            )
            .order_by(target.c.day, target.c.scope)
        )
        return Histograms(self._fetch(query))
