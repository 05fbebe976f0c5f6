"""What an answer of the server means: worth another try, too much asked, or one clear sentence.

The sentences name the address, what was found and what to do; they never hold a key, and nothing
of a row.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llmops_jobs.errors import SourceError

if TYPE_CHECKING:
    import httpx


class TooMuchError(SourceError):
    """The server could not answer for the size of what was asked: ask for less at once."""


class UnavailableError(SourceError):
    """The server is not there, or not well, just now: worth another run in some minutes."""


class TryAgainError(Exception):
    """A fault that may pass: transport, 5xx, a broken body. `wait` is what the server asked for;
    `slow` says that the answer did not come in time, so that asking for less may help."""

    def __init__(self, reason: str, wait: float | None = None, slow: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.slow = slow


RETRY_STATUSES = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}


def check(response: httpx.Response, body: bytes, base_url: str) -> None:
    """Returns for a success; raises TooMuchError, TryAgainError or SourceError otherwise."""
    status = response.status_code
    if status < 300:
        return
    path = response.request.url.path
    said = message_of(body)
    if status in (413, 422):
        raise TooMuchError(f"{base_url}{path} could not answer in time or size ({status}): {said}")
    if status in RETRY_STATUSES:
        slow = status in (408, 504, 524)
        raise TryAgainError(f"{status} {said}".strip(), retry_after(response, body), slow)
    if status == 401:
        raise SourceError(
            f"{base_url} refused the keys (401: {said}): check that the public and the secret key "
            "belong to one project of this server, and that LANGFUSE_BASE_URL names its region"
        )
    if status == 403:
        raise SourceError(
            f"{base_url} does not let these keys read {path} (403: {said}): use the project's "
            "public and secret key pair"
        )
    if status == 404:
        raise SourceError(_not_there(base_url, path, said, looks_like_html(response, body)))
    if 300 <= status < 400:
        target = response.headers.get("location", "another address")
        raise SourceError(
            f"{base_url} redirects to {target} ({status}): set LANGFUSE_BASE_URL to the address "
            "that the API itself answers on"
        )
    raise SourceError(f"{base_url}{path} answered {status}: {said}")


def _not_there(base_url: str, path: str, said: str, html: bool) -> str:
    if "v4" in said or "events_only" in said or html or not said:
        return (
            f"{base_url} does not serve {path} (404{': ' + said if said and not html else ''}): a "
            "Langfuse 4 server in its events_only or dual mode is needed; a version 3 server, or "
            "one whose v4 preview is switched off, cannot be read"
        )
    return f"{base_url}{path} was not found (404): {said}"


def looks_like_html(response: httpx.Response, body: bytes) -> bool:
    kind = response.headers.get("content-type", "")
    return "html" in kind or body[:200].lstrip()[:1] == b"<"


def not_json(response: httpx.Response, body: bytes, base_url: str) -> str:
    """Why a 200 is no answer of the API."""
    path = response.request.url.path
    if looks_like_html(response, body):
        return (
            f"{base_url}{path} answered with a web page instead of JSON: LANGFUSE_BASE_URL must "
            "name the Langfuse server itself, not a page, a login or a proxy before it"
        )
    return f"{base_url}{path} answered {len(body)} bytes that are not the JSON of the API"


def message_of(body: bytes) -> str:
    """The server's own words, cut; '' for HTML."""
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(content, dict):
        return ""
    said = str(content.get("message") or content.get("error") or "")
    issues = content.get("error")
    if isinstance(issues, list):
        said += ": " + "; ".join(
            f"{'.'.join(map(str, issue.get('path', [])))} {issue.get('message', '')}".strip()
            for issue in issues[:3]
            if isinstance(issue, dict)
        )
    return said[:300]


def retry_after(response: httpx.Response, body: bytes) -> float | None:
    """Seconds that the server asks to wait, by header or, where it lacks, by body."""
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        pass
    try:
        return max(0.0, float(json.loads(body)["details"]["retryAfterSeconds"]))
    except (ValueError, LookupError, TypeError):
        return None
