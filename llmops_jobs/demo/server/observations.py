"""GET /api/public/v2/observations."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import orjson
from starlette.background import BackgroundTask
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.answers import Json
from llmops_jobs.demo.server.errors import (
    NO_PREVIEW,
    bad_option,
    bad_time,
    custom,
    invalid,
    not_found,
    refused,
    too_big,
    too_small,
    wrong_type,
)
from llmops_jobs.demo.server.filters import Filter, Predicate, parse
from llmops_jobs.demo.server.order import Tie, xxhash32
from llmops_jobs.demo.server.packed import PackedRow, lines
from llmops_jobs.demo.server.shapes import (
    ALWAYS,
    OBSERVATION_GROUPS,
    OBSERVATION_KEYS,
    cut_all,
    select,
)
from llmops_jobs.demo.server.state import State
from llmops_jobs.demo.server.times import lenient, strict

LEVELS = ("DEBUG", "DEFAULT", "WARNING", "ERROR")
TYPES = (
    "SPAN", "EVENT", "GENERATION", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR",
    "EMBEDDING", "GUARDRAIL",
)  # fmt: skip
EQUAL = ("name", "userId", "sessionId", "type", "traceId", "level", "version")


def observations(state: State, request: Request) -> Response:
    if state.mode != "events_only":
        raise not_found(NO_PREVIEW)
    query = request.query_params
    if query.get("parseIoAsJson", "false") != "false":
        raise invalid(custom(["parseIoAsJson"], PARSE_IO))
    limit = page_limit(query, 50, 1000)
    start, end = time_param(query, "fromStartTime"), time_param(query, "toStartTime")
    chosen = _check_choices(query)
    conditions = parse(query["filter"]) if query.get("filter") else Filter()
    if conditions.on_start_time:  # such a filter cancels both parameters
        start, end = conditions.started_from, conditions.started_before
    before = _cursor(query["cursor"]) if query.get("cursor") else None

    rows: Iterable[Row] = chain.from_iterable(
        state.days.walk(
            "observations", start, end, before, conditions.ended_from, query.get("traceId")
        )
    )
    for predicate in [*state.visible("observations"), *chosen, *conditions.predicates]:
        rows = filter(predicate, rows)
    page = list(islice(rows, limit + 1))
    more = 0 < limit < len(page)
    page = page[:limit]
    meta = {"cursor": _encode(page[-1])} if more else {}
    answer = Response(
        b'{"data":[%b],"meta":%b}'
        % (body(page, query, conditions.reads_whole), orjson.dumps(meta)),
        media_type=Json.media_type,
    )
    if state.spill and not more:
        answer.background = BackgroundTask(_read_ahead, state)
    return answer


async def _read_ahead(state: State) -> None:
    state.days.read_ahead()


PARSE_IO = (
    "parseIoAsJson=true is no longer supported on the v2 observations endpoint. Input/output "
    "fields are always returned as raw strings. Remove the parseIoAsJson parameter or set it to "
    "false."
)


def body(rows: list[Row], query: QueryParams, whole: bool = False) -> bytes:
    """Rows as JSON, with commas between them, with the keys that `fields` asks for. A name that is
    no group is passed over, and then even `basic` is not there. `whole`: long metadata is not
    cut."""
    asked = query.get("fields")
    groups = {"core", "basic"} if asked is None else {"core"}
    groups |= {name for name in (asked or "").split(",") if name in OBSERVATION_GROUPS}
    keys = select({**OBSERVATION_GROUPS, "always": ALWAYS}, groups | {"always"}, OBSERVATION_KEYS)
    expanded = set((query.get("expandMetadata") or "").split(",")) - {""}
    ready = None if whole or expanded else lines(rows, keys)
    if ready is not None:
        return b",".join(ready)
    page = [_with_keys(row, keys) for row in rows]
    if "model" not in groups:
        for row in page:
            row["modelId"] = row["inputPrice"] = row["outputPrice"] = row["totalPrice"] = None
    if "metrics" not in groups:
        for row in page:
            if row["latency"] is None and row["endTime"] is not None:
                row["latency"] = 0
            if "time" not in groups:
                row["timeToFirstToken"] = None
    if "metadata" in groups and "io" not in groups and not whole:
        for row in page:
            row["metadata"] = cut_all(row["metadata"], expanded)
    return orjson.dumps(page)[1:-1]


def _with_keys(row: Row, keys: tuple[str, ...]) -> Row:
    """A copy with these keys; where few are left out, a whole copy is several times faster."""
    if isinstance(row, PackedRow):
        row = row.whole()
    if len(row) != len(OBSERVATION_KEYS) or 2 * len(keys) < len(row):
        return {key: row[key] for key in keys}
    copied = row.copy()
    for key in _left_out(keys):
        del copied[key]
    return copied


@lru_cache(64)
def _left_out(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in OBSERVATION_KEYS if key not in keys)


def page_limit(query: QueryParams, default: int, maximum: int, minimum: int = 0) -> int:
    text = query.get("limit")
    if text is None:
        return default
    try:
        limit = float(text or 0)
    except ValueError:
        raise invalid(wrong_type(["limit"], "number", "NaN")) from None
    if limit > maximum:
        raise invalid(too_big(["limit"], maximum))
    if limit < minimum:
        raise invalid(too_small(["limit"], minimum))
    return int(limit)


def time_param(query: QueryParams, name: str) -> str | None:
    text = query.get(name)
    if text is None:
        return None
    moment = strict(text)
    if moment is None:
        raise invalid(bad_time([name]))
    return moment


def _check_choices(query: QueryParams) -> list[Predicate]:
    """Predicates of the simple parameters."""
    if query.get("level") and query["level"] not in LEVELS:
        raise invalid(bad_option(["level"], LEVELS))
    if query.get("type") and query["type"] not in TYPES:
        raise invalid(bad_option(["type"], TYPES))
    predicates: list[Predicate] = [_equals(key, query[key]) for key in EQUAL if query.get(key)]
    if "parentObservationId" in query:
        parent = query["parentObservationId"] or None
        predicates.append(lambda row: row["parentObservationId"] == parent)
    if "isRootObservation" in query:
        if query["isRootObservation"] not in ("true", "false"):
            raise invalid(bad_option(["isRootObservation"], ("true", "false")))
        root = query["isRootObservation"] == "true"
        predicates.append(lambda row: row["isRootObservation"] == root)
    if environments := set(query.getlist("environment")):
        predicates.append(lambda row: row["environment"] in environments)
    return predicates


def _equals(key: str, wanted: str) -> Predicate:
    return lambda row: row[key] == wanted


def _encode(row: Row) -> str:
    position = {
        "lastStartTimeTo": row["startTime"],
        "lastTraceId": row["traceId"] or "",
        "lastId": row["id"],
    }
    return base64.b64encode(orjson.dumps(position)).decode()


def _cursor(text: str) -> tuple[str, Tie]:
    position = decode(text)
    try:
        start = lenient(position["lastStartTimeTo"])
        tie = (xxhash32(position["lastTraceId"]), position["lastId"])
    except (KeyError, TypeError, AttributeError):
        raise invalid(wrong_type(["cursor"], "object", "undefined")) from None
    return start or "", tie


def decode(text: str) -> Any:
    """The JSON inside a cursor; base64 with or without padding, of either alphabet."""
    try:
        raw = text.replace("-", "+").replace("_", "/")
        return json.loads(base64.b64decode(raw + "=" * (-len(raw) % 4)))
    except ValueError:
        raise refused("Invalid cursor format") from None
