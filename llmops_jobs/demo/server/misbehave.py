"""The outermost layer: lets the faults in force strike, and keeps a list of what was asked."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.errors import NO_PREVIEW, ApiError, forbidden, not_found, unauthorized
from llmops_jobs.demo.server.fault_rows import NOT_A_NUMBER, spoil
from llmops_jobs.demo.server.faults import CURSOR, LOST, REPLACE, ROWS, Fault
from llmops_jobs.demo.server.limits import too_many
from llmops_jobs.demo.server.overlay import deaf
from llmops_jobs.demo.server.state import State

JSON = "application/json; charset=utf-8"
PROXY_PAGE = b"<html><head><title>Please sign in</title></head><body>Single sign-on</body></html>"


class Misbehaving:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app = app
        self.state = state
        self._pages: dict[str, list[Row]] = {}  # pages given so far, by request less its cursor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/api/"):
            await self.app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        url = f"{path}?{query}" if query else path
        self.state.requests.append(f"{scope['method']} {url}")
        faults = self.state.faults.striking(scope["method"], url)
        if not faults and not self.state.faults.watching(scope["method"], url):
            await self.app(scope, receive, send)
            return
        for fault in faults:
            if fault.kind == "dropped_connection":
                _transport(send).abort()
                return
            if fault.kind in REPLACE:
                status, headers, body = _replacement(fault)
                await _send(send, status, headers, body)
                return
        deaf.set(any(fault.kind in LOST for fault in faults))  # within this request's task
        answer = await _capture(self.app, scope, receive)
        following: list[Row] = []
        if any(fault.kind == "rows_ahead" for fault in faults):
            following = await self._following(answer, scope, receive)
        await self._damaged(answer, faults, url, following, send)

    async def _following(self, answer: _Answer, scope: Scope, receive: Receive) -> list[Row]:
        """The first rows of the next page."""
        cursor = (_page(answer[2]) or {"meta": {}})["meta"].get("cursor")
        if cursor is None:
            return []
        kept = [
            (key, value)
            for key, value in parse_qsl(scope["query_string"].decode("latin-1"), True)
            if key not in ("cursor", "limit")
        ]
        query = urlencode([*kept, ("cursor", cursor), ("limit", "3")]).encode()
        _, _, body = await _capture(self.app, {**scope, "query_string": query}, receive)
        return list((_page(body) or {"data": []})["data"])

    async def _damaged(
        self, answer: _Answer, faults: list[Fault], url: str, following: list[Row], send: Send
    ) -> None:
        status, headers, body = answer
        page = _page(body)
        if page is not None:
            walk = re.sub(r"&?\bcursor=[^&]*", "", url)
            if walk == url:  # a new walk from the first page on
                self._pages[walk] = []
            given = self._pages.setdefault(walk, [])
            kept = page
            for fault in faults:
                if fault.kind == "looping_cursor":  # 1, 2, 3, 2, 3, …
                    if len(given) >= 2 and len(given) % 2 == 0:
                        page = {**page, "meta": {**page["meta"], **given[0]["meta"]}}
                elif fault.kind in (*CURSOR, *ROWS):
                    page = spoil(page, fault, given[-1] if given else None, following)
            given.append(kept)
            if any(fault.kind in (*CURSOR, *ROWS) for fault in faults):
                body = json.dumps(page).replace(f'"{NOT_A_NUMBER}"', "NaN").encode()
        for fault in faults:
            if fault.kind == "truncated_gzip":
                packed = gzip.compress(body)
                headers = {**headers, "content-encoding": "gzip"}
                body = packed[: len(packed) * 2 // 3]
            elif fault.kind == "cut_json":
                body = body[: len(body) // 2]
            elif fault.kind == "half_page":
                await _send(send, status, headers, body, until=len(body) // 2)
                _transport(send).close()
                return
            elif fault.kind == "slow_drip":
                await _drip(send, status, headers, body, fault.seconds)
                return
        await _send(send, status, headers, body)


_Answer = tuple[int, dict[str, str], bytes]


def _replacement(fault: Fault) -> _Answer:
    if fault.kind == "html_page":
        return 200, {"content-type": "text/html; charset=utf-8"}, PROXY_PAGE
    if fault.kind == "bad_gateway":
        page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
        return 502, {"content-type": "text/html"}, page
    error = {
        "unauthorized": unauthorized(
            "Invalid credentials. Confirm that you've configured the correct host."
        ),
        "forbidden": forbidden(),
        "old_server": not_found(NO_PREVIEW),
        "timeout_422": ApiError(422, {
            "message": "Your query could not be completed. Please narrow your request, for "
            "example with a shorter time range.",
            "error": "Request timed out",
        }),
        "rate_limited": too_many(30, fault.seconds),
        "server_error": ApiError(500, {
            "message": "Internal Server Error", "error": "InternalServerError",
        }),
        "unavailable": ApiError(503, {
            "message": "Service Unavailable", "error": "ServiceUnavailableError",
        }),
    }[fault.kind]  # fmt: skip
    headers = {"content-type": JSON, **error.headers}
    return error.status, headers, json.dumps(error.body).encode()


def _page(body: bytes) -> Row | None:
    """The body if it is a page of rows."""
    try:
        page = json.loads(body)
    except ValueError:
        return None
    whole = isinstance(page, dict) and isinstance(page.get("data"), list)
    return page if whole and isinstance(page.get("meta"), dict) else None


async def _capture(app: ASGIApp, scope: Scope, receive: Receive) -> _Answer:
    status, headers, parts = 500, {}, []

    async def keep(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    headers.pop("content-length", None)
    return status, headers, b"".join(parts)


async def _send(
    send: Send, status: int, headers: dict[str, str], body: bytes, until: int | None = None
) -> None:
    raw = [(k.encode(), v.encode()) for k, v in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    part = body if until is None else body[:until]
    await send({"type": "http.response.body", "body": part, "more_body": until is not None})


async def _drip(
    send: Send, status: int, headers: dict[str, str], body: bytes, seconds: float
) -> None:
    """The body in up to 50 pieces over so many seconds."""
    raw = [(k.encode(), v.encode()) for k, v in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    size = max(1, -(-len(body) // 50))
    pieces = range(0, len(body), size)
    for start in pieces:
        await asyncio.sleep(seconds / len(pieces))
        piece = body[start : start + size]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _transport(send: Send) -> Any:
    """The socket of uvicorn's connection: the only way to break it off halfway."""
    return send.__self__.transport  # type: ignore[attr-defined]
