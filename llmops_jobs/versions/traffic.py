"""Reading the calls that a night's comparisons look back on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.deployment import Deployment
from llmops_jobs.versions.calls import (
    FEEDBACK,
    PASS,
    STANDS_FOR,
    WEIGHT,
    Calls,
    Names,
    identity,
    joined,
)
from llmops_jobs.versions.sample import NAMES, calls_by_day, drawing, product_calls

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_METRICS = ("cost_usd", "input_tokens", "output_tokens", "latency_s", "time_to_first_token_s")
_PART_ROWS = 500_000


class Traffic:
    """Calls and votes of a run, each day read once for all the nights that look back on it.

    `last` is the last day of the run: small days are read ahead together, up to there, a batch at a
    time. What a night sees are the days up to it, whatever has been read. Of a day of more than
    `versions.calls_per_day` calls a sample is held (`sample`).
    """

    def __init__(self, deployment: Deployment, project: str, last: date) -> None:
        self._deployment = deployment
        self._project = project
        self._last = last
        self._names = Names()
        self._calls: dict[date, Calls] = {}
        self._votes: dict[date, tuple[np.ndarray, np.ndarray]] = {}

    def window(self, day: date, length: int) -> Calls:
        """The calls of the `length` days up to and with `day`, with the votes of those days."""
        first = day - timedelta(days=length - 1)
        days = [first + timedelta(days=offset) for offset in range(length)]
        for old in [kept for kept in self._calls if kept < first]:
            del self._calls[old], self._votes[old]
        self._read_from(next((each for each in days if each not in self._calls), None), day)
        calls = joined([self._calls[each] for each in days])
        traces, values = zip(*(self._votes[each] for each in days), strict=True)
        return with_feedback(calls, np.concatenate(traces), np.concatenate(values))

    @cached_property
    def models(self) -> dict[tuple[str, str], date]:
        """(requested model, model that answered) -> the first day on which it did."""
        import sqlalchemy as sa

        from llmops_jobs.store.tables.versions import version_seen

        c = version_seen.c
        pair = (c.request_model, c.model)
        query = sa.select(*pair, sa.func.min(c.first_seen).label("first_seen"))
        rows = self._deployment.database.read(
            query.where(c.project_id == self._project).group_by(*pair)
        )
        return {(row.request_model, row.model): row.first_seen for row in rows.itertuples()}

    def _read_from(self, first: date | None, until: date) -> None:
        from llmops_jobs.lake.batches import batches

        if first is None:
            return
        home, project = self._deployment, self._project
        ahead = [first + timedelta(days=n) for n in range(max((self._last - first).days, 0) + 1)]
        for batch in batches(home.lake, project, ahead):
            scores = self._scores(batch)
            limit = home.settings.versions.calls_per_day
            drawn_by = drawing(self._sizes(batch), limit, scores["trace_id"])
            rows = home.engine.run(product_calls, home.lake, project, batch, drawn_by)
            calls = joined([_coded(part, self._names, scores) for part in _parts(rows)])
            ordinals = calls["day"]
            for day in batch:
                start, end = np.searchsorted(ordinals, [day.toordinal(), day.toordinal() + 1])
                self._calls[day] = calls.take(np.arange(start, end))
                self._votes[day] = self._thumbs(day)
            if batch[-1] >= until:
                return

    def _sizes(self, days: Sequence[date]) -> dict[date, int]:
        """Calls of the product by day."""
        home = self._deployment
        rows = home.engine.run(calls_by_day, home.lake, self._project, days).to_pylist()
        return {row["day"]: row["calls"] for row in rows}

    def _scores(self, days: Sequence[date]) -> pd.DataFrame:
        """Every verdict of a scorer on calls of these days, the newest scorer version last."""
        import sqlalchemy as sa

        from llmops_jobs.store.tables.evals import score

        c = score.c
        query = sa.select(
            c.day, c.trace_id, c.observation_id, c.scorer, c.passed, c.inclusion_probability
        ).where(
            c.project_id == self._project,
            c.day.between(days[0], days[-1]),
            c.status == "ok",
            c.passed.is_not(None),
        )
        return self._deployment.database.read(query.order_by(*score.primary_key.columns))

    def _thumbs(self, day: date) -> tuple[np.ndarray, np.ndarray]:
        """Trace and value (1 up, 0 down) of the votes that users gave on a day."""
        import pyarrow.compute as pc

        columns = ["trace_id", "value", "source", "data_type"]
        votes = self._deployment.lake.read_day("scores", self._project, day, columns)
        is_vote = pc.and_(pc.equal(votes["source"], "API"), pc.equal(votes["data_type"], "BOOLEAN"))
        rows = votes.filter(is_vote).to_pandas()
        return identity(rows["trace_id"]), rows["value"].to_numpy(dtype=float)


def with_feedback(calls: Calls, traces: np.ndarray, values: np.ndarray) -> Calls:
    """Adds FEEDBACK: the mean vote on a trace, on the last call of the trace; NaN without a vote.

    `traces` and `values` (1 up, 0 down) are the votes, in any order.
    """
    feedback = np.full(len(calls), np.nan)
    if len(traces):
        voted, vote = np.unique(traces, return_inverse=True)
        mean = np.bincount(vote, values) / np.bincount(vote)
        place = np.minimum(np.searchsorted(voted, calls["trace"]), len(voted) - 1)
        rows = np.flatnonzero(voted[place] == calls["trace"])
        last = np.full(len(voted), -1)
        last[place[rows]] = rows  # calls are in order: a later one replaces an earlier one
        found = last >= 0
        feedback[last[found]] = mean[found]
    return calls.having(**{FEEDBACK: feedback})


def _parts(rows: pa.Table) -> Iterator[pd.DataFrame]:
    """A large day's rows a part after the other: their texts take ten times what is kept of them.
    At least one part, though it is empty."""
    for first in range(0, max(rows.num_rows, 1), _PART_ROWS):
        yield rows.slice(first, _PART_ROWS).to_pandas()


def _coded(rows: pd.DataFrame, names: Names, scores: pd.DataFrame) -> Calls:
    trace = identity(rows["trace_id"])
    user, session = rows["user_id"].to_numpy(object), rows["session_id"].to_numpy(object)
    cluster = np.where(
        user != "",
        identity(rows["user_id"]),
        np.where(session != "", identity(rows["session_id"]), trace),
    )
    version = rows["prompt_version"]
    texts = {
        **{name: rows[name] for name in NAMES},
        "prompt_version": version.astype("Int64").astype("string").fillna(""),
    }
    columns = {
        "day": np.array([day.toordinal() for day in rows["day"]], dtype=np.int32),
        "hour": rows["start_time"].dt.hour.to_numpy(dtype=np.int8),
        "trace": trace,
        "cluster": cluster,
        "error": rows["error"].to_numpy(dtype=float),
        STANDS_FOR: rows["stands_for"].to_numpy(dtype=float),
        **{name: names.codes(values) for name, values in texts.items()},
    }
    # A failed call is cheap and quick because it did nothing: only its failing counts.
    answered = columns["error"] == 0
    for name in _METRICS:
        value = rows[name].to_numpy(dtype=float, na_value=np.nan)
        columns[name] = np.where(answered, value, np.nan)
    return Calls(columns, names).having(**_scored(rows, scores))


def _scored(rows: pd.DataFrame, scores: pd.DataFrame) -> dict[str, np.ndarray]:
    """A column per scorer (1 passed, 0 not) and the weight of the scored call."""
    if scores.empty or rows.empty:
        return {}
    key = ["day", "trace_id", "observation_id"]
    calls = identity(*(rows[name].astype(str) for name in key))
    order = np.argsort(calls)
    wanted = identity(*(scores[name].astype(str) for name in key))
    place = order[np.minimum(np.searchsorted(calls, wanted, sorter=order), len(calls) - 1)]
    known = calls[place] == wanted
    place, scores = place[known], scores[known]
    found: dict[str, np.ndarray] = {}
    passed = scores["passed"].to_numpy(dtype=float)
    for scorer in sorted(scores["scorer"].unique()):
        of_scorer = (scores["scorer"] == scorer).to_numpy()
        column = np.full(len(rows), np.nan)
        column[place[of_scorer]] = passed[of_scorer]
        found[PASS + scorer] = column
    chance = np.full(len(rows), np.nan)
    np.fmax.at(chance, place, scores["inclusion_probability"].to_numpy(dtype=float))
    found[WEIGHT] = 1 / np.maximum(np.where(np.isnan(chance), 1.0, chance), 1e-6)
    return found
