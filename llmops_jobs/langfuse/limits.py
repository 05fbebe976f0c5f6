"""How many requests an organization may send: one budget that all its projects share.

Langfuse Cloud counts in a fixed window that opens with the first request, per organization, and
refuses the request that would use the last point; so the budget is the limit less one, in windows
opened the same way (Langfuse server 4.16; see docs/ingestion.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

# A second more than the server's window, so that ours never reopens before the server's does.
WINDOW_S = 61.0
CLOUD_PER_MINUTE = 1000


class RateLimit:
    """A budget of requests per minute. `take` waits for a free place; safe across threads."""

    def __init__(
        self,
        per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.per_minute = per_minute
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._opened = -WINDOW_S
        self._used = 0
        self._closed_until = 0.0

    def take(self) -> float:
        """Waits until a request may be sent; returns the seconds waited."""
        waited = 0.0
        while True:
            wait = self._try()
            if wait <= 0:
                return waited
            self._sleep(wait)
            waited += wait

    def close_for(self, seconds: float) -> None:
        """Nobody sends for a while: the server said `Retry-After`."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)

    def _try(self) -> float:
        with self._lock:
            now = self._clock()
            if now < self._closed_until:
                return self._closed_until - now
            if self.per_minute is None:
                return 0.0
            if now - self._opened >= WINDOW_S:
                self._opened, self._used = now, 0
            if self._used < self.per_minute - 1:
                self._used += 1
                return 0.0
            return self._opened + WINDOW_S - now


_limits: dict[tuple[str, str], RateLimit] = {}
_limits_lock = threading.Lock()


def shared_limit(base_url: str, organization: str, per_minute: int | None) -> RateLimit:
    """The one budget of an organization on a server, in this process.

    `per_minute` None means the plan's default on Langfuse Cloud and no limit elsewhere: a
    self-hosted server has none. The smallest configured value wins.
    """
    if per_minute is None and is_cloud(base_url):
        per_minute = CLOUD_PER_MINUTE
    with _limits_lock:
        limit = _limits.setdefault((base_url, organization), RateLimit(per_minute))
    if per_minute is not None and (limit.per_minute is None or per_minute < limit.per_minute):
        limit.per_minute = per_minute
    return limit


def is_cloud(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host == "langfuse.com" or host.endswith(".langfuse.com")
