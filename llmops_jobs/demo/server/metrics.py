"""GET /api/public/v2/metrics: a question in JSON, answered by DuckDB over the days' columns."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import NO_PREVIEW, not_found
from llmops_jobs.demo.server.metrics_query import Query, parse
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.times import instant, later

# Width of the buckets that are not calendar units, in minutes.
MINUTES = {"5m": 5, "10m": 10, "15m": 15, "30m": 30, "2h": 120, "4h": 240, "2d": 2880}
UNITS = {"1h": "hour", "1d": "day", "1w": "week"}
QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def metrics(state: State, request: Request) -> Response:
    if state.mode in ("v3", "ancient"):
        raise not_found(NO_PREVIEW.replace("observations v2", "metrics v2"))
    query = parse(request.query_params.get("query"))
    return Json({"data": answer(state, query)})


def answer(state: State, query: Query) -> list[dict[str, Any]]:
    import duckdb

    # `toTimestamp` is inclusive here, unlike in the row API.
    days = state.days.days(query.start, later(query.end, 0.001))
    with duckdb.connect() as connection:
        table, details = query.view.table, query.needs_details
        connection.register(table, state.columns.table(table, days, details))
        if query.uses("countScores"):
            connection.register("scores", state.columns.table("scores", days))
        connection.execute(_sql(state, query), _parameters(state, query))
        names = [column[0] for column in connection.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in connection.fetchall()]
    for row in rows:
        for key, value in row.items():
            row[key] = _plain(value, query.bins)
        if query.granularity:
            row["time_dimension"] = shown(row["time_dimension"], query.granularity)
    if query.granularity and not query.order:
        rows = _fill(rows, query)
    return rows[: query.row_limit]


def _sql(state: State, query: Query) -> str:
    view = query.view
    time = f"make_timestamp({view.time} * 1000)"
    inner = [f'{view.dimensions[name].sql} AS "{name}"' for name in query.dimensions]
    if query.granularity:
        inner.append(f"{_bucket(time, query.granularity)} AS time_dimension")
    conditions = [
        view.where,
        f"{view.time} BETWEEN $start AND $end",
        *query.filters,
        *(["createdAt <= $clock"] if state.clock else []),
        *(["traceId NOT IN (SELECT unnest($gone))"] if _gone(state, query) else []),
    ]
    # Two steps, because the value by type is looked up by the type that was unfolded. A dimension
    # takes the place of the column of its name.
    rows = (
        f"SELECT {', '.join([f'{view.table}.* EXCLUDE ({_hidden(query)})', *inner])} "
        f"FROM {view.table} WHERE {' AND '.join(f'({condition})' for condition in conditions)}"
    )
    keys = [f'"{name}"' for name in query.dimensions]
    if query.granularity:
        keys.append("time_dimension")
    values = [f'{_aggregate(query, m, how)} AS "{how}_{m}"' for m, how in query.metrics]
    sql = f"SELECT {', '.join([*keys, *values])} FROM ({rows}) {view.table}"
    if keys:
        sql += f" GROUP BY {', '.join(keys)}"
    order = [f'"{field}" {direction} NULLS LAST' for field, direction in query.order]
    if not order and query.granularity:
        order = ["time_dimension ASC"]
    if not order and query.metrics:
        measure, how = query.metrics[0]
        order = [f'"{how}_{measure}" DESC NULLS LAST']
    return sql + (f" ORDER BY {', '.join(order)}" if order else "")


def _hidden(query: Query) -> str:
    from llmops_jobs.demo.server.columns import build

    columns = set(build(query.view.table, []).column_names)
    names = [f'"{name}"' for name in query.dimensions if name in columns]
    return ", ".join([*names, "createdAt"])


def _aggregate(query: Query, name: str, how: str) -> str:
    value = query.view.measures[name].sql
    if how == "count":
        return "count(*)" if value == "1" else f"count({value})"
    if how == "uniq":
        return f"count(DISTINCT {value})"
    if how in QUANTILES:
        return f"quantile_cont({value}, {QUANTILES[how]})"
    if how == "histogram":
        return f"list({value})"  # counted afterwards
    return f"{how}({value})"


def _bucket(time: str, granularity: str) -> str:
    if granularity in MINUTES:
        origin = "TIMESTAMP '1970-01-01'"
        return f"time_bucket(INTERVAL {MINUTES[granularity]} MINUTE, {time}, {origin})"
    return f"date_trunc('{UNITS.get(granularity, granularity)}', {time})"


def _parameters(state: State, query: Query) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "start": round(instant(query.start).timestamp() * 1000),
        "end": round(instant(query.end).timestamp() * 1000),
        **query.parameters,
    }
    if state.clock:
        parameters["clock"] = round(instant(state.clock).timestamp() * 1000)
    if _gone(state, query):
        parameters["gone"] = sorted(state.overlay.deleted_traces)
    return parameters


def _gone(state: State, query: Query) -> bool:
    return query.view.table == "observations" and bool(state.overlay.deleted_traces)


def _plain(value: Any, bins: int) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, list) and value and isinstance(value[0], int | float):  # a histogram
        import numpy as np

        counts, edges = np.histogram([v for v in value if v is not None], bins=bins)
        bars = zip(edges[:-1], edges[1:], counts, strict=True)
        return [[float(low), float(high), int(n)] for low, high, n in bars if n]
    return value


def shown(moment: datetime, granularity: str) -> str:
    """A bucket as the wire shows it: a date for days and longer, else a time."""
    if UNITS.get(granularity, granularity) in ("day", "week", "month", "2d"):
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _fill(rows: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    """A row for each empty bucket from the first to before the last, in its place."""
    granularity = query.granularity or "day"
    seen = {row["time_dimension"] for row in rows}
    empty = {name: query.view.dimensions[name].fill for name in query.dimensions}
    zeros = {
        f"{how}_{name}": 0 if how in ("count", "uniq") else query.view.measures[name].fill
        for name, how in query.metrics
    }
    moment = floor(instant(query.start), granularity)
    end = floor(instant(query.end), granularity)
    filled = list(rows)
    while moment < end and len(filled) < 100_000:
        label = shown(moment, granularity)
        if label not in seen:
            filled.append({**empty, "time_dimension": label, **zeros})
        moment = following(moment, granularity)
    return sorted(filled, key=lambda row: row["time_dimension"])


def floor(moment: datetime, granularity: str) -> datetime:
    unit = UNITS.get(granularity, granularity)
    if granularity in MINUTES:
        width = MINUTES[granularity] * 60
        return datetime.fromtimestamp(moment.timestamp() // width * width, UTC)
    if unit == "minute":
        return moment.replace(second=0, microsecond=0)
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def following(moment: datetime, granularity: str) -> datetime:
    unit = UNITS.get(granularity, granularity)
    if granularity in MINUTES:
        return moment + timedelta(minutes=MINUTES[granularity])
    if unit == "month":
        return (moment.replace(day=28) + timedelta(days=4)).replace(day=1)
    return moment + timedelta(**{f"{unit}s": 1})
