"""Which rows of the marts a report reads, and how far the database sums them up first.

A source is a query with a column `day`; most sum a mart over the dimensions that no page shows,
since some marts hold a hundred rows for each that is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import sqlalchemy as sa

from llmops_jobs.store.columns import Usd
from llmops_jobs.store.tables import TABLES


def query_of(
    name: str, projects: Sequence[str], first: date, last: date
) -> tuple[sa.Select[Any], str]:
    """The query of a source (or of a whole table), and the column of its day ('' without one)."""
    table = _SUMS[name].table if name in _SUMS else "score" if name == "failures" else name
    target = TABLES[table]
    day = next((key for key in ("day", "as_of") if key in target.c), "")
    where = [target.c.project_id.in_(projects)] if "project_id" in target.c else []
    if day:
        where.append(target.c[day].between(first, last))
    if name == "failures":
        return _failures(where), day
    query = _SUMS[name].query() if name in _SUMS else _plain(target, day)
    return query.where(*where), day


class _Sum:
    """A mart summed over all but `keys`."""

    def __init__(
        self,
        table: str,
        keys: Sequence[str],
        counts: Sequence[str] = (),
        usd: Sequence[str] = (),
        more: Mapping[str, Any] | None = None,
        where: Sequence[sa.ColumnElement[bool]] = (),
    ) -> None:
        self.table = table
        self._keys, self._counts, self._usd = keys, counts, usd
        self._more, self._where = more or {}, where

    def query(self) -> sa.Select[Any]:
        target = TABLES[self.table]
        keys = [target.c[name] for name in self._keys]
        where = list(self._where)
        if "is_evaluation" in target.c:
            where.append(target.c.is_evaluation.is_(False))
        return (
            sa.select(
                *keys,
                *(whole(target.c[name]).label(name) for name in self._counts),
                *(exact(target.c[name]).label(name) for name in self._usd),
                *(column.label(name) for name, column in self._more.items()),
            )
            .where(*where)
            .group_by(*keys)
            .order_by(*keys)
        )


def whole(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The sum of a count, an integer on every database."""
    return sa.cast(sa.func.sum(column), sa.BigInteger)


def exact(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.func.sum(column), sa.Double)


def _if(condition: sa.ColumnElement[bool], value: Any) -> sa.ColumnElement[Any]:
    return sa.case((condition, value), else_=0)


_votes = TABLES["feedback_daily"].c
_canary = TABLES["judge_canary"].c
_spender = TABLES["top_spender"].c

_SUMS: Final = {
    "errors": _Sum(
        "error_daily",
        ("day", "error_type", "family_id"),
        ("errors", "logical_calls", "attempts", "recovered"),
        ("wasted_usd",),
    ),
    "waste": _Sum("waste_daily", ("day", "waste_reason"), ("requests",), ("wasted_usd",)),
    "traces": _Sum("trace_daily", ("day",), ("traces", "failed")),
    "votes": _Sum(
        "feedback_daily",
        ("day", "score_name", "source"),
        ("n", "positive", "rated_traces"),
        more={
            "votes": whole(_if(_votes.rate.is_not(None), _votes.n)),
            "valued": whole(_if(_votes.mean_value.is_not(None), _votes.n)),
            "total": sa.func.coalesce(exact(_votes.mean_value * _votes.n), 0.0),
        },
    ),
    "categories": _Sum("feedback_label_daily", ("day", "score_name", "source", "label"), ("n",)),
    "scored": _Sum("quality_daily", ("day", "metric"), ("n",)),
    "failing": _Sum(
        "quality_daily",
        ("day", "metric", "feature"),
        ("n",),
        more={
            "failed": exact(
                (1 - sa.func.coalesce(TABLES["quality_daily"].c.estimate, 1.0))
                * TABLES["quality_daily"].c.n
            )
        },
    ),
    "tools": _Sum("tool_daily", ("day", "tool", "type"), ("calls", "errors")),
    "limits": _Sum("rate_limit_hourly", ("day", "provider", "hour"), ("requests", "rate_limited")),
    "audit": _Sum(
        "cost_audit",
        ("day", "cause"),
        ("requests",),
        ("cost_usd", "reported_cost_usd", "difference_usd"),
    ),
    "bills": _Sum(
        "bill_audit",
        ("day", "bill", "cause"),
        ("requests",),
        ("cost_usd", "billed_usd", "difference_usd"),
    ),
    "issues": _Sum("cost_issue_daily", ("day", "issue"), ("requests",), ("cost_usd",)),
    "seen": _Sum("version_seen", ("day", "prompt_name", "prompt_version"), ("requests",)),
    "canary": _Sum(
        "judge_canary",
        ("day", "rubric"),
        more={
            "n": sa.func.count(),
            "changed": whole(_if(_canary.passed != _canary.first_passed, 1)),
        },
    ),
    "spenders": _Sum(
        "top_spender",
        ("day", "kind", "subject"),
        ("requests",),
        ("cost_usd", "share"),
        where=(_spender.rank <= 5,),
    ),
}


def _failures(where: Sequence[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    """Of each day and scorer the failing score with the least value: one to look at."""
    score = TABLES["score"].c
    order = (score.value, score.trace_id, score.observation_id)
    place = sa.func.row_number().over(
        partition_by=(score.project_id, score.day, score.scorer), order_by=order
    )
    failing = (
        sa.select(
            score.project_id,
            score.day,
            score.scorer,
            score.trace_id,
            score.observation_id,
            score.value,
            score.reason,
            place.label("place"),
        )
        .where(score.passed.is_(False), *where)
        .subquery()
    )
    return sa.select(failing).where(failing.c.place == 1).order_by(failing.c.day, failing.c.scorer)


def _plain(target: sa.Table, day: str) -> sa.Select[Any]:
    """A table's rows; money as a double, since exact Decimals cost a second per ten thousand."""
    columns = [
        sa.cast(column, sa.Double).label(column.name) if isinstance(column.type, Usd) else column
        for column in target.c
        if not isinstance(column.type, sa.LargeBinary)
    ]
    order = [*([target.c[day]] if day else []), *target.primary_key.columns]
    return sa.select(*columns).where(*_shown(target)).order_by(*order)


def _shown(target: sa.Table) -> list[sa.ColumnElement[bool]]:
    """What a report can show of a table; some hold a hundred times more, for other readers."""
    columns = target.c
    if target.name in ("spend_forecast", "period_forecast"):
        return [columns.scope == "total", columns.metric == "cost_usd"]
    if target.name in ("spend_change", "unit_cost_daily"):
        return [columns.scope == "total"]
    if target.name in ("anomaly", "forecast_score"):
        return [columns.metric == "cost_usd"]
    if target.name in ("version_comparison", "judge_agreement"):
        return [columns.slice == "total"]
    if target.name == "quality_window":
        by_feature = columns.scope.startswith("feature=", autoescape=True)
        return [columns.window_days.in_([7, 28]), sa.or_(columns.scope == "total", by_feature)]
    return []
