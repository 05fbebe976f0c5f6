"""The question of GET /v2/metrics, checked as the server checks it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from llmops_jobs.demo.server.errors import (
    bad_option,
    bad_time,
    custom,
    invalid,
    kind_of,
    refused,
    too_big,
    too_small,
    wrong_type,
)
from llmops_jobs.demo.server.filters import OPERATORS
from llmops_jobs.demo.server.metrics_views import AGGREGATIONS, GRANULARITIES, VIEWS, View
from llmops_jobs.demo.server.times import instant, lenient, strict


@dataclass
class Query:
    view: View
    dimensions: list[str]
    metrics: list[tuple[str, str]]  # (measure, aggregation)
    start: str
    end: str  # inclusive
    granularity: str | None
    order: list[tuple[str, str]]  # (column, asc | desc)
    row_limit: int
    bins: int
    filters: list[str] = field(default_factory=list)  # SQL conditions
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def needs_details(self) -> bool:
        """Whether a cost or usage is asked for by its type."""
        return any(self.view.dimensions[name].explode for name in self.dimensions)

    def uses(self, measure: str) -> bool:
        return any(name == measure for name, _ in self.metrics)


def parse(text: str | None) -> Query:
    """Raises ApiError (400)."""
    if text is None:
        raise invalid(wrong_type(["query"], "string", "undefined"))
    try:
        raw = json.loads(text)
    except ValueError:
        raise invalid(custom(["query"], "Invalid JSON in query parameter")) from None
    if not isinstance(raw, dict):
        raise invalid(wrong_type(["query"], "object", kind_of(raw)))
    if raw.get("view") not in VIEWS:
        raise invalid(bad_option(["query", "view"], VIEWS))
    view = VIEWS[raw["view"]]
    metrics = [(str(m.get("measure")), str(m.get("aggregation"))) for m in _objects(raw, "metrics")]
    dimensions = [str(d.get("field")) for d in _objects(raw, "dimensions")]
    for place, (_, how) in enumerate(metrics):
        if how not in AGGREGATIONS:
            raise invalid(bad_option(["query", "metrics", place, "aggregation"], AGGREGATIONS))
    start, end = _times(raw)
    row_limit, bins, explicit = _config(raw.get("config"))
    granularity = _granularity(raw.get("timeDimension"), start, end)
    for name in dimensions:
        if name not in view.dimensions:
            options = ",".join(view.dimensions)
            raise refused(f"Invalid dimension {name}. Must be one of {options}")
    for name, how in metrics:
        if name not in view.measures:
            raise refused(f"Invalid metric {name}. Must be one of {','.join(view.measures)}")
        if not view.measures[name].numeric and how not in ("count", "uniq"):
            raise refused(
                f"Invalid aggregation {how} for measure {name}. Must be one of count,uniq"
            )
        needed = view.measures[name].needs
        if needed and needed not in dimensions:
            dimensions.append(needed)
    query = Query(view, dimensions, metrics, start, end, granularity, [], row_limit, bins)
    query.order = _order(raw.get("orderBy"), query)
    _refuse_unbounded(query, explicit)
    for place, condition in enumerate(_objects(raw, "filters")):
        _add_filter(query, condition, place)
    return query


def _objects(raw: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = raw.get(key)
    if found is None and key != "metrics":
        return []
    if not isinstance(found, list):
        received = kind_of(found) if key in raw else "undefined"
        raise invalid(wrong_type(["query", key], "array", received))
    for place, item in enumerate(found):
        if not isinstance(item, dict):
            raise invalid(wrong_type(["query", key, place], "object", kind_of(item)))
    return found


def _times(raw: dict[str, Any]) -> tuple[str, str]:
    times = []
    for key in ("fromTimestamp", "toTimestamp"):
        text = raw.get(key)
        if not isinstance(text, str):
            received = kind_of(text) if key in raw else "undefined"
            raise invalid(wrong_type(["query", key], "string", received))
        moment = strict(text)
        if moment is None:
            raise invalid(bad_time(["query", key]))
        times.append(moment)
    if times[0] >= times[1]:
        raise invalid(custom(["query"], "fromTimestamp must be before toTimestamp"))
    return times[0], times[1]


def _config(config: Any) -> tuple[int, int, bool]:
    """(row limit, bins, whether a limit was given)"""
    config = config if isinstance(config, dict) else {}
    limit, bins = config.get("row_limit"), config.get("bins")
    for key, value, maximum in (("row_limit", limit, 1000), ("bins", bins, 100)):
        if value is None:
            continue
        path = ["query", "config", key]
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid(wrong_type(path, "number", kind_of(value)))
        if value > maximum:
            raise invalid(too_big(path, maximum))
        if value < 1:
            raise invalid(too_small(path, 1))
    return limit or 100, bins or 10, limit is not None


def _granularity(dimension: Any, start: str, end: str) -> str | None:
    if dimension is None:
        return None
    wanted = dimension.get("granularity") if isinstance(dimension, dict) else None
    if wanted not in GRANULARITIES:
        raise invalid(bad_option(["query", "timeDimension", "granularity"], GRANULARITIES))
    if wanted != "auto":
        return str(wanted)
    hours = (instant(end) - instant(start)).total_seconds() / 3600
    for most, unit in ((2, "minute"), (72, "hour"), (1440, "day"), (8760, "week")):
        if hours < most:
            return unit
    return "month"


def _order(raw: Any, query: Query) -> list[tuple[str, str]]:
    order: list[tuple[str, str]] = []
    columns = [*query.dimensions, *(f"{how}_{name}" for name, how in query.metrics)]
    if query.granularity:
        columns.append("time_dimension")
    for item in raw or []:
        name, direction = item.get("field"), item.get("direction", "asc")
        if direction not in ("asc", "desc"):
            raise invalid(
                bad_option(["query", "orderBy", len(order), "direction"], ("asc", "desc"))
            )
        if name not in columns:
            raise refused(
                f"Invalid orderBy field: {name}. Must be one of the dimension or metric fields."
            )
        order.append((name, direction))
    return order


def _refuse_unbounded(query: Query, explicit_limit: bool) -> None:
    wide = [name for name in query.dimensions if query.view.dimensions[name].high_cardinality]
    if not wide:
        return
    named = f"High cardinality dimension(s) '{', '.join(wide)}'"
    if query.granularity:
        raise refused(
            f"{named} cannot be used with timeDimension. Time series queries with high cardinality "
            "dimensions produce unbounded result sets."
        )
    falling = [name for name, direction in query.order if direction == "desc"]
    if not explicit_limit or not falling:
        raise refused(
            f"{named} require both 'config.row_limit' and 'orderBy' with direction 'desc' on a "
            "measure field."
        )
    others = [name for name in falling if name in query.dimensions]
    if others:
        verb = "is" if len(others) == 1 else "are"
        raise refused(
            f"{named} require 'orderBy' with direction 'desc' on a measure field. "
            f"'{', '.join(others)}' {verb} not a measure in this query."
        )


def _add_filter(query: Query, condition: dict[str, Any], place: int) -> None:
    """One condition as SQL; values are bound, never written into the text."""
    kind, how, value = (condition.get(key) for key in ("type", "operator", "value"))
    path = ["query", "filters", place]
    if kind not in OPERATORS:
        raise invalid(bad_option([*path, "type"], OPERATORS))
    if how not in OPERATORS[kind]:
        raise invalid(bad_option([*path, "operator"], OPERATORS[kind]))
    column = condition.get("column")
    view, name = query.view, f"f{place}"
    if column in ("startTime", "start_time", "timestamp", view.time):
        moment = lenient(str(value))
        if kind != "datetime" or moment is None:
            raise refused(
                f"Invalid filter for field '{column}': Filter type '{kind}' is not supported for "
                f"time dimension '{view.time}'."
            )
        query.parameters[name] = round(instant(moment).timestamp() * 1000)
        query.filters.append(f"{view.time} {how} ${name}")
        return
    if column not in view.dimensions:
        options = ",".join(view.dimensions)
        raise refused(f"Invalid filter column {column}. Must be one of {options} or {view.time}")
    sql = view.dimensions[column].sql
    query.filters.append(_condition(sql, kind, str(how), f"${name}"))
    if kind != "null":
        query.parameters[name] = value


def _condition(sql: str, kind: str, how: str, value: str) -> str:
    if kind == "null":
        return f"{sql} IS {'NOT ' if how == 'is not null' else ''}NULL"
    if kind == "arrayOptions":
        function = "list_has_all" if how == "all of" else "list_has_any"
        return f"{'NOT ' if how == 'none of' else ''}{function}({sql}, {value})"
    text = f"coalesce(CAST({sql} AS VARCHAR), '')"
    if kind in ("stringOptions", "categoryOptions"):
        return f"{'NOT ' if how == 'none of' else ''}list_contains({value}, {text})"
    if kind == "string":
        return {
            "=": f"{text} = {value}",
            "contains": f"contains({text}, {value})",
            "does not contain": f"NOT contains({text}, {value})",
            "starts with": f"starts_with({text}, {value})",
            "ends with": f"suffix({text}, {value})",
            "matches": f"contains(lower({text}), lower({value}))",
        }[how]
    return f"{sql} {how} {value}"
