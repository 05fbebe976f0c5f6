"""The marts as rules need them: sums by day and slice, each asked for once per run.

The database adds up, so that a run over sixty days reads thousands of rows, not millions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    import pandas as pd

LOOK_BACK = 56


@dataclass
class Marts:
    """One project's marts for the days [first, last] and the days before that rules compare."""

    database: Database
    project: str
    first: date
    last: date
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def begin(self) -> date:
        return self.first - timedelta(days=LOOK_BACK)

    def sums(
        self,
        table: str,
        columns: Mapping[str, sa.ColumnElement[Any]],
        by: Sequence[str],
        where: Sequence[sa.ColumnElement[bool]] = (),
    ) -> pd.DataFrame:
        """`day`, the columns of `by`, and the sums of `columns` (floats), product traffic only.

        columns: name -> expression over the table's columns.
        """
        target = TABLES[table]
        groups = [target.c.day, *(target.c[name] for name in by)]
        conditions = list(where)
        if "is_evaluation" in target.c and "is_evaluation" not in by:
            conditions.append(target.c.is_evaluation.is_(False))
        query = (
            sa.select(
                *groups,
                *(
                    sa.cast(sa.func.sum(value), sa.Double).label(name)
                    for name, value in columns.items()
                ),
            )
            .where(
                target.c.project_id == self.project,
                target.c.day.between(self.begin, self.last),
                *conditions,
            )
            .group_by(*groups)
        )
        return self._once(("sums", str(query.compile(compile_kwargs=_LITERAL))), query)

    def rows(
        self, table: str, day: date, column: str = "", where: Sequence[Any] = ()
    ) -> list[dict[str, Any]]:
        """The rows of a table whose `column` (its day) is this one, of those that fit `where`
        (always the same for a table and column)."""
        key = ("rows", table, column)
        if key not in self._kept:
            target = TABLES[table]
            name = column or ("day" if "day" in target.c else "as_of")
            query = sa.select(target).where(
                target.c.project_id == self.project,
                target.c[name].between(self.begin, self.last),
                *where,
            )
            by_day: dict[date, list[dict[str, Any]]] = {}
            with self.database.engine.connect() as connection:
                for row in connection.execute(query).mappings():
                    by_day.setdefault(row[name], []).append(dict(row))
            self._kept[key] = by_day
        found: list[dict[str, Any]] = self._kept[key].get(day, [])
        return found

    def by_day(self, frame: pd.DataFrame, day: date) -> list[dict[str, Any]]:
        """The rows of one day of a frame that this object gave."""
        key = ("frame", id(frame))
        if key not in self._kept:
            self._kept[key] = {when: part.to_dict("records") for when, part in frame.groupby("day")}
        found: list[dict[str, Any]] = self._kept[key].get(day, [])
        return found

    def cells(self, day: date) -> pd.DataFrame:
        """The day's product traffic by all dimensions: requests, errors, tokens, dollars."""
        c = TABLES["usage_daily"].c
        by = [name for name in DIMENSIONS if name != "is_evaluation"]
        sums = {n: c[n] for n in ("requests", "errors", "input_tokens", "output_tokens")}
        query = (
            sa.select(
                *(c[name] for name in by),
                *(sa.cast(sa.func.sum(v), sa.Double).label(n) for n, v in sums.items()),
                sa.cast(sa.func.sum(c.cost_usd), sa.Double).label("cost_usd"),
            )
            .where(c.project_id == self.project, c.day == day, c.is_evaluation.is_(False))
            .group_by(*(c[name] for name in by))
        )
        return self._once(("cells", day), query)

    def started(self, table: str) -> date | None:
        """The first day that a table has for the project, however long ago."""
        target = TABLES[table]
        query = sa.select(sa.func.min(target.c.day).label("day")).where(
            target.c.project_id == self.project
        )
        first: date | None = self._once(("started", table), query)["day"].iloc[0]
        return first

    def first_answer(self, asked: str, model: str | None = None) -> date | None:
        """First day on which a model was asked for (and answered by `model`)."""
        key = ("first answers",)
        if key not in self._kept:
            target = TABLES["version_seen"]
            query = (
                sa.select(
                    target.c.request_model,
                    target.c.model,
                    sa.func.min(target.c.first_seen).label("first"),
                )
                .where(target.c.project_id == self.project)
                .group_by(target.c.request_model, target.c.model)
            )
            firsts: dict[tuple[str, str | None], date] = {}
            for row in _frame(self.database, query).itertuples():
                for pair in ((row.request_model, row.model), (row.request_model, None)):
                    firsts[pair] = min(firsts.get(pair, row.first), row.first)
            self._kept[key] = firsts
        found: date | None = self._kept[key].get((asked, model))
        return found

    def _once(self, key: tuple[Any, ...], query: sa.Select[Any]) -> pd.DataFrame:
        if key not in self._kept:
            self._kept[key] = _frame(self.database, query)
        frame: pd.DataFrame = self._kept[key]
        return frame


_LITERAL = {"literal_binds": True}


def _frame(database: Database, query: sa.Select[Any]) -> pd.DataFrame:
    """By columns: pandas takes rows apart one by one."""
    import pandas as pd

    with database.engine.connect() as connection:
        result = connection.execute(query)
        names = list(result.keys())
        columns = list(zip(*result.fetchall(), strict=True)) or [()] * len(names)
    return pd.DataFrame(dict(zip(names, map(list, columns), strict=True)))
