"""A day's verdicts as sums by cell of all dimensions, metric and part: what its rates are made of.

Parts: `scored` by a rule, `predicted` by judge or model, `labelled` by people (`unpredicted` where
no judge or model saw the call). The rows of `score` are read a part at a time, those of rules as
one number per call, in which every scorer has a bit: a day of any size in little memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.evals.predictors import JUDGE, metric_of, predictions
from llmops_jobs.evals.reading import call_keys
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

SUMS = ("n", "w", "wy", "wf", "w2", "w2_y", "w2_f", "w2_yf", "w2_ff")
_ROWS_AT_ONCE = 100_000
_BITS = 60  # scorers that share a number


def tallies(
    lake: Lake, database: Database, project: str, day: date, settings: EvalSettings
) -> pd.DataFrame:
    """What rules and predictors say of a day: one row per cell, metric and part, with its sums."""
    tally = _Tally(_Cells.of(lake, project, day))
    metrics = {name: metric_of(name, settings) for name in _scorers(database, project, day)}
    rules = [name for name, metric in metrics.items() if metric is None]
    for first in range(0, len(rules), _BITS):
        some = rules[first : first + _BITS]
        for rows in _passes(database, project, day, some):
            tally.add_bits(rows, some)
    judges = [name for name in metrics if name.startswith(JUDGE)]
    judged = set()
    for rows in _verdicts(database, project, day, judges):
        judged |= {metrics[name] for name in rows["scorer"].unique()}
        tally.add_predictions(predictions(rows, settings))
    # Where a judge speaks for a metric, its model does not.
    models = [n for n, metric in metrics.items() if metric and metric not in judged]
    for rows in _verdicts(database, project, day, [n for n in models if n not in judges]):
        tally.add_predictions(predictions(rows, settings))
    return tally.rows()


def sums_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with w, y and f, each with what it adds to the sums."""
    w, y, f = (rows[name].to_numpy(dtype=float) for name in ("w", "y", "f"))
    return rows.assign(**dict(zip(SUMS, (1, w, *_products(w, y, f)), strict=True)))


def added(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The sums of every group of `by` and part. Groups are numbered by hand: a day is small, and
    pandas' grouping by ten keys costs more than the sums."""
    keys = [*by, "part"]
    if rows.empty:
        return pd.DataFrame(columns=[*keys, *SUMS])
    number = _numbered([rows[key] for key in keys])
    first = np.unique(number, return_index=True)[1]
    return pd.DataFrame(
        {
            **{key: rows[key].to_numpy(dtype=object)[first] for key in keys},
            "n": np.bincount(number, rows["n"].to_numpy(dtype=float)).astype(int),
            **{s: np.bincount(number, rows[s].to_numpy(dtype=float)) for s in SUMS[1:]},
        }
    )


def _products(w: np.ndarray, y: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, ...]:
    w2 = w * w
    return w * y, w * f, w2, w2 * y, w2 * f, w2 * y * f, w2 * f * f


def _numbered(columns: Sequence[Any]) -> np.ndarray:
    """The number of each row's combination of values."""
    number = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes, values = pd.factorize(column)
        # Numbered anew at each column, so that many do not overflow.
        number = np.unique(number * len(values) + codes, return_inverse=True)[1]
    return number


@dataclass(frozen=True)
class _Cells:
    """The model calls of a day, and the cell of dimensions that each is in."""

    keys: pa.Array
    cell_of: np.ndarray
    cells: pd.DataFrame

    @classmethod
    def of(cls, lake: Lake, project: str, day: date) -> _Cells:
        names = ["trace_id", "observation_id", *DIMENSIONS, "is_model_call"]
        calls = lake.read_day("observations", project, day, names)
        calls = calls.filter(calls["is_model_call"])
        version = calls["prompt_version"].cast(pa.string()).fill_null("")
        place = calls.schema.get_field_index("prompt_version")
        calls = calls.set_column(place, "prompt_version", version)
        if not calls.num_rows:
            return cls(call_keys(calls), np.zeros(0, int), pd.DataFrame(columns=list(DIMENSIONS)))
        codes = [pc.dictionary_encode(calls[d]).combine_chunks().indices for d in DIMENSIONS]
        number = _numbered([each.to_numpy(zero_copy_only=False) for each in codes])
        first = np.unique(number, return_index=True)[1]
        cells = calls.select(DIMENSIONS).take(pa.array(first)).to_pandas()
        return cls(call_keys(calls), number, cells)

    def find(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """(which rows are of calls of the day, their cells)"""
        names = ("trace_id", "observation_id")
        told = pa.table({name: pa.array(rows[name].tolist(), pa.string()) for name in names})
        place = pc.index_in(call_keys(told), self.keys).fill_null(-1).to_numpy(zero_copy_only=False)
        known = place >= 0
        return known, self.cell_of[place[known]]


@dataclass
class _Tally:
    """Sums by (metric, part): an array with a row per sum and a column per cell."""

    cells: _Cells
    sums: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def add_bits(self, rows: pd.DataFrame, scorers: Sequence[str]) -> None:
        known, cell = self.cells.find(rows)
        w = 1 / rows["inclusion_probability"].to_numpy(dtype=float)[known]
        seen, passed = (rows[name].to_numpy(dtype=np.int64)[known] for name in ("seen", "passed"))
        for bit, scorer in enumerate(scorers):
            here = (seen >> bit & 1).astype(bool)
            if here.any():
                y = (passed[here] >> bit & 1).astype(float)
                self._add(scorer, "scored", cell[here], w[here], y)

    def add_predictions(self, rows: pd.DataFrame) -> None:
        known, cell = self.cells.find(rows)
        w, f = (rows[name].to_numpy(dtype=float)[known] for name in ("w", "f"))
        metrics = rows["metric"].to_numpy(dtype=object)[known]
        for metric in pd.unique(metrics):
            here = metrics == metric
            self._add(metric, "predicted", cell[here], w[here], f[here])

    def _add(self, metric: str, part: str, cell: np.ndarray, w: np.ndarray, f: np.ndarray) -> None:
        k = len(self.cells.cells)
        counted = [np.bincount(cell, each, k) for each in (w, *_products(w, f, f))]
        found = np.vstack([np.bincount(cell, minlength=k), *counted])
        key = (metric, part)
        self.sums[key] = self.sums[key] + found if key in self.sums else found

    def rows(self) -> pd.DataFrame:
        some = [np.flatnonzero(sums[0]) for sums in self.sums.values()]
        if not sum(map(len, some)):
            return pd.DataFrame(columns=[*DIMENSIONS, "metric", "part", *SUMS])
        rows = self.cells.cells.iloc[np.concatenate(some)].reset_index(drop=True)
        lengths = list(map(len, some))
        for name, values in zip(("metric", "part"), zip(*self.sums, strict=True), strict=True):
            rows[name] = np.repeat(np.array(values, dtype=object), lengths)
        found = np.hstack(
            [sums[:, each] for sums, each in zip(self.sums.values(), some, strict=True)]
        )
        rows[list(SUMS)] = found.T
        return rows.astype({"n": int})


def _scorers(database: Database, project: str, day: date) -> list[str]:
    score = TABLES["score"].c
    query = sa.select(score.scorer).where(score.project_id == project, score.day == day).distinct()
    return sorted(database.read(query)["scorer"].tolist())


def _judging(project: str, day: date, scorers: Sequence[str]) -> list[Any]:
    score = TABLES["score"].c
    return [
        score.project_id == project,
        score.day == day,
        score.status == "ok",
        score.passed.is_not(None),
        score.scorer.in_(scorers),
    ]


def _passes(
    database: Database, project: str, day: date, scorers: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """One row per call: the bits of the scorers that judged it, and of those that it passed."""
    score = TABLES["score"].c
    bit = sa.case({name: 1 << i for i, name in enumerate(scorers)}, value=score.scorer, else_=0)
    query = (
        sa.select(
            score.trace_id,
            score.observation_id,
            sa.func.min(score.inclusion_probability).label("inclusion_probability"),
            # Postgres adds integers up as numerics.
            sa.cast(sa.func.sum(bit), sa.BigInteger).label("seen"),
            sa.cast(sa.func.sum(sa.case((score.passed, bit), else_=0)), sa.BigInteger).label(
                "passed"
            ),
        )
        .where(*_judging(project, day, scorers))
        .group_by(score.trace_id, score.observation_id)
    )
    return database.read_parts(query, _ROWS_AT_ONCE)


def _verdicts(
    database: Database, project: str, day: date, scorers: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """What judges and models say, with y (1 passed) and w (1 / inclusion probability)."""
    score = TABLES["score"].c
    names = ("trace_id", "observation_id", "scorer", "value", "passed", "inclusion_probability")
    query = sa.select(*(score[name] for name in names)).where(*_judging(project, day, scorers))
    for rows in database.read_parts(query, _ROWS_AT_ONCE) if scorers else ():
        yield rows.assign(
            y=rows["passed"].astype(bool).astype(float),
            w=1 / rows["inclusion_probability"].astype(float),
        )
