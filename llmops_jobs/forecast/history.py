"""The daily amounts of every scope, read once per run and cut at any day after that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from llmops_jobs.dimensions import DIMENSIONS

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.store import Database

Floats = NDArray[np.float64]

TOTAL = "total"
OTHER = "(other)"
EVALUATION = "is_evaluation=true"
SCOPED = ("environment", "model", "feature", "tenant")  # dimensions that are always forecast
TOKEN_TYPES = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
COST, TOKENS = "cost_usd", "tokens"
METRICS = (COST, TOKENS, *TOKEN_TYPES)
_RECENT = 28  # days whose spend ranks the values of a dimension


@dataclass(frozen=True)
class Block:
    """One dimension: `amounts[metric]` is `(days, values)`, NaN where a day was not copied.

    `by_model` splits `cost_usd` and the tokens by who was paid, for known changes of price.
    """

    values: list[str]
    amounts: dict[str, Floats]


@dataclass(frozen=True)
class History:
    """Product spend of one project, from `first` on, one row per UTC day."""

    project: str
    first: date
    began: int  # row of the first day ever used, as far as was read
    known: NDArray[np.bool_]  # (days,): copied
    total: dict[str, Floats]  # metric -> (days,)
    evaluation: dict[str, Floats]  # metric -> (days,): judges and experiments, never in the total
    blocks: dict[str, Block]  # dimension -> its values

    def index(self, day: date) -> int:
        """The row of a day; may lie outside."""
        return (day - self.first).days

    def missing(self, begin: int, end: int) -> int:
        """Days in rows [begin, end) that were not copied; nothing is missing before the first."""
        begin = max(begin, self.began)
        return int((~self.known[begin:end]).sum()) if end > begin else 0

    def scope(self, scope: str, metric: str = COST) -> Floats | None:
        """The whole series of one scope, None where it was never seen."""
        if scope == TOTAL:
            return self.total[metric]
        if scope == EVALUATION:
            return self.evaluation[metric]
        dimension, _, value = scope.partition("=")
        block = self.blocks.get(dimension)
        if block is None or value not in block.values:
            return None
        return block.amounts[metric][:, block.values.index(value)]

    def summed(self, scope: str, metric: str, dimension: str, values: Sequence[int]) -> Floats:
        """The whole series of the total, of evaluation, or of some values of a dimension."""
        if dimension:
            amounts = self.blocks[dimension].amounts[metric]
            one = len(values) == 1
            return amounts[:, values[0]] if one else amounts[:, values].sum(axis=1)
        return self.evaluation[metric] if scope == EVALUATION else self.total[metric]

    def largest(self, dimension: str, end: int, count: int) -> list[int]:
        """Columns of the values that spent most in the four weeks before row `end`, largest
        first; by tokens where nothing was priced."""
        block = self.blocks[dimension]
        window = slice(max(0, end - _RECENT), end)
        cost = np.nansum(block.amounts[COST][window], axis=0)
        tokens = np.nansum(block.amounts[TOKENS][window], axis=0)
        order = np.lexsort((np.array(block.values, dtype=object), -tokens, -cost))
        return [int(column) for column in order if cost[column] > 0 or tokens[column] > 0][:count]


def read_history(
    database: Database,
    project: str,
    last: date,
    days: int,
    dimensions: Sequence[str] = SCOPED,
) -> History:
    """What is known up to `last`: the days before it, `days` of them at the most.

    A day counts as copied when the table `pull` has it, or when usage was written for it; every
    other day is missing, not zero.
    """
    began = _earliest(database, project, last)
    first = max(last - timedelta(days=days - 1), began)
    # Row 0 is always the same weekday, so that a model fitted on one cut fits another.
    first -= timedelta(days=first.toordinal() % 7)
    length = max((last - first).days + 1, 0)
    known = _known_days(database, project, first, last, length)
    product = _amounts(database, project, first, last, "is_evaluation", known)
    blocks = {}
    for dimension in dict.fromkeys(dimensions):
        if dimension != "is_evaluation":
            blocks[dimension] = _amounts(database, project, first, last, dimension, known)
    return History(
        project,
        first,
        max((began - first).days, 0),
        known,
        _column(product, "", known),
        _column(product, "true", known),
        blocks,
    )


def _column(block: Block, value: str, known: NDArray[np.bool_]) -> dict[str, Floats]:
    if value in block.values:
        at = block.values.index(value)
        return {metric: amounts[:, at] for metric, amounts in block.amounts.items()}
    return {metric: np.where(known, 0.0, np.nan) for metric in METRICS}


def _earliest(database: Database, project: str, last: date) -> date:
    from llmops_jobs.store.tables.ledger import usage_daily as usage

    query = sa.select(sa.func.min(usage.c.day).label("day")).where(
        usage.c.project_id == project, usage.c.day <= last
    )
    found = database.read(query)["day"].iloc[0]
    return found if isinstance(found, date) else last + timedelta(days=1)


def _known_days(
    database: Database, project: str, first: date, last: date, length: int
) -> NDArray[np.bool_]:
    from llmops_jobs.store.tables.ingest import pull
    from llmops_jobs.store.tables.ledger import usage_daily as usage

    known = np.zeros(length, dtype=np.bool_)
    for table, more in ((pull, [pull.c.source == "observations"]), (usage, [])):
        query = sa.select(table.c.day).where(
            table.c.project_id == project, table.c.day >= first, table.c.day <= last, *more
        )
        for day in database.read(query.distinct())["day"]:
            known[(day - first).days] = True
    return known


def _amounts(
    database: Database,
    project: str,
    first: date,
    last: date,
    dimension: str,
    known: NDArray[np.bool_],
) -> Block:
    """Sums by day and value of a dimension; product spend, or both kinds for `is_evaluation`."""
    rows = _sums(database, project, first, last, dimension)
    labels = [_label(value) for value in rows["value"]]
    values = sorted(set(labels))
    position = {value: at for at, value in enumerate(values)}
    row = np.array([(day - first).days for day in rows["day"]], dtype=np.int64)
    column = np.array([position[label] for label in labels], dtype=np.int64)
    amounts = {}
    for metric in METRICS:
        table = np.zeros((len(known), len(values)))
        source = rows["input_tokens"] + rows["output_tokens"] if metric == TOKENS else rows[metric]
        np.add.at(table, (row, column), source.to_numpy(dtype=np.float64))
        table[~known] = np.nan
        amounts[metric] = table
    return Block(values, amounts)


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    return str(value)


def _sums(
    database: Database, project: str, first: date, last: date, dimension: str
) -> pd.DataFrame:
    from llmops_jobs.store.tables.ledger import usage_daily as usage

    assert dimension in DIMENSIONS
    value = usage.c[dimension]
    sums = [
        sa.type_coerce(sa.func.sum(usage.c[name]), sa.Double).label(name)
        for name in (COST, *TOKEN_TYPES)
    ]
    query = (
        sa.select(usage.c.day, value.label("value"), *sums)
        .where(usage.c.project_id == project, usage.c.day >= first, usage.c.day <= last)
        .group_by(usage.c.day, value)
    )
    if dimension != "is_evaluation":
        query = query.where(usage.c.is_evaluation.is_(False))
    return database.read(query)
