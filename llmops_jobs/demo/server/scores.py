"""GET /api/public/v3/scores."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from itertools import chain, islice
from operator import itemgetter
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import bad_option, custom, invalid, refused, wrong_type
from llmops_jobs.demo.server.filters import Predicate
from llmops_jobs.demo.server.observations import decode, page_limit
from llmops_jobs.demo.server.order import Tie
from llmops_jobs.demo.server.shapes import SCORE_GROUPS, SCORE_KEYS, select
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.times import lenient

SOURCES = ("API", "EVAL", "ANNOTATION")
DATA_TYPES = ("NUMERIC", "CATEGORICAL", "BOOLEAN", "CORRECTION", "TEXT")
LISTS = ("id", "name", "environment", "configId", "queueId", "authorUserId")
SUBJECTS = ("traceId", "sessionId", "experimentId")
KNOWN = {
    *LISTS, *SUBJECTS, "observationId", "source", "dataType", "value", "valueMin", "valueMax",
    "fromTimestamp", "toTimestamp", "userId", "traceTags", "limit", "cursor", "fields",
}  # fmt: skip


def scores(state: State, request: Request) -> Response:
    query = request.query_params
    limit = page_limit(query, 50, 100, minimum=1)
    keys = _keys(query)
    predicates = _predicates(query)
    start, end = _time(query, "fromTimestamp"), _time(query, "toTimestamp")
    before = _cursor(query["cursor"]) if query.get("cursor") else None

    rows: Iterable[Row] = chain.from_iterable(state.days.walk("scores", start, end, before))
    for predicate in [*state.visible("scores"), *predicates]:
        rows = filter(predicate, rows)
    if "id" in query:  # nothing more to look for once each has been seen
        rows = _until_found(rows, _split(query["id"]))
    page = list(islice(rows, limit + 1))
    meta: dict[str, Any] = {"limit": limit}
    if len(page) > limit:
        page = page[:limit]
        meta["cursor"] = _encode(page[-1])
    values = itemgetter(*keys)
    data = [dict(zip(keys, values(row), strict=True)) for row in page]
    return Json({"data": data, "meta": meta})


def _keys(query: QueryParams) -> tuple[str, ...]:
    groups = {"core"}
    for place, name in enumerate(_split(query.get("fields", "core"))):
        if name not in SCORE_GROUPS:
            raise invalid(bad_option(["fields", place], SCORE_GROUPS))
        groups.add(name)
    return select(SCORE_GROUPS, groups, SCORE_KEYS)


def _predicates(query: QueryParams) -> list[Predicate]:
    unknown = sorted(set(query) - KNOWN)
    if unknown:
        names = ", ".join(f'"{name}"' for name in unknown)
        plural = "s" if len(unknown) > 1 else ""
        raise invalid({
            "code": "unrecognized_keys",
            "keys": unknown,
            "path": [],
            "message": f"Unrecognized key{plural}: {names}",
        })  # fmt: skip
    for name in ("userId", "traceTags"):
        if query.get(name):
            raise invalid(_whole(NEEDS_JOIN.format(name)))
    if query.get("observationId") and not query.get("traceId"):
        raise invalid(_whole(NEEDS_TRACE))
    if sum(bool(query.get(name)) for name in SUBJECTS) > 1:
        raise invalid(_whole("traceId, sessionId and experimentId are mutually exclusive"))
    types = _choices(query, "dataType", DATA_TYPES)
    sources = _choices(query, "source", SOURCES)
    predicates = [_one_of(name, _split(query[name])) for name in LISTS if query.get(name)]
    if types:
        predicates.append(_one_of("dataType", types))
    if sources:
        predicates.append(_one_of("source", sources))
    predicates += _on_value(query, types)
    if query.get("observationId"):
        predicates.append(_subject("observation", _split(query["observationId"])))
        traces = set(_split(query["traceId"]))
        predicates.append(lambda row: row["subject"].get("traceId") in traces)
    elif query.get("traceId"):
        traces = set(_split(query["traceId"]))
        predicates.append(lambda row: _trace_of(row) in traces)
    for name in ("session", "experiment"):
        if query.get(f"{name}Id"):
            predicates.append(_subject(name, _split(query[f"{name}Id"])))
    return predicates


NEEDS_JOIN = (
    "{} filter requires a trace JOIN and is not supported in v3 — use v2 or omit this filter"
)
NEEDS_TRACE = "observationId filter requires traceId — observation IDs are scoped to a trace"


def _whole(message: str) -> dict[str, Any]:
    return custom([], message)


def _on_value(query: QueryParams, types: list[str]) -> list[Predicate]:
    names = [name for name in ("value", "valueMin", "valueMax") if query.get(name)]
    if not names:
        return []
    if len(types) != 1:
        raise invalid(_whole(f"{names[0]} filter requires exactly one dataType"))
    predicates: list[Predicate] = []
    if query.get("value"):
        wanted = set(_split(query["value"]))
        if types == ["BOOLEAN"]:
            wanted = {{"1": "true", "0": "false"}.get(word, word.lower()) for word in wanted}
        predicates.append(lambda row: _shown(row["value"]) in wanted)
    for name, keep in (("valueMin", _at_least), ("valueMax", _at_most)):
        if query.get(name):
            try:
                predicates.append(keep(float(query[name])))
            except ValueError:
                raise invalid(wrong_type([name], "number", "NaN")) from None
    return predicates


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _at_least(bound: float) -> Predicate:
    return lambda row: not isinstance(row["value"], str) and float(row["value"]) >= bound


def _at_most(bound: float) -> Predicate:
    return lambda row: not isinstance(row["value"], str) and float(row["value"]) <= bound


def _one_of(key: str, wanted: Iterable[str]) -> Predicate:
    options = set(wanted)
    return lambda row: row[key] in options


def _subject(kind: str, ids: Iterable[str]) -> Predicate:
    options = set(ids)
    return lambda row: row["subject"]["kind"] == kind and row["subject"]["id"] in options


def _trace_of(row: Row) -> str | None:
    subject = row["subject"] or {}
    return subject.get("id") if subject.get("kind") == "trace" else subject.get("traceId")


def _choices(query: QueryParams, name: str, allowed: tuple[str, ...]) -> list[str]:
    values = [value.upper() for value in _split(query.get(name, ""))]
    wrong = [value for value in values if value not in allowed]
    if wrong:
        text = f'Invalid {name} value: "{wrong[0]}". Allowed: {", ".join(allowed)}'
        raise invalid(custom([name], text))
    return values


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _time(query: QueryParams, name: str) -> str | None:
    text = query.get(name)
    if not text:
        return None
    moment = lenient(text)
    if moment is None:
        raise invalid(wrong_type([name], "date", "Date"))
    return moment


def _until_found(rows: Iterable[Row], ids: list[str]) -> Iterable[Row]:
    missing = set(ids)
    for row in rows:
        yield row
        missing.discard(row["id"])
        if not missing:
            return


def _encode(row: Row) -> str:
    position = {"v": 1, "lastTimestamp": row["timestamp"], "lastId": row["id"]}
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def _cursor(text: str) -> tuple[str, Tie]:
    position = decode(text)
    try:
        return lenient(position["lastTimestamp"]) or "", (position["lastId"],)
    except (KeyError, TypeError):
        raise refused("Invalid cursor format") from None
