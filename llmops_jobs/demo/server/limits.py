"""Rate limits per bucket as in Langfuse's cloud: a fixed window from the first request on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from llmops_jobs.demo.server.errors import ApiError


@dataclass
class Limits:
    """`per_window` maps a bucket (general, metrics, datasets, ingestion, prompts) to its points in
    `window_seconds`. A bucket that is not named is unlimited, as on a self-hosted server."""

    per_window: dict[str, int] = field(default_factory=dict)
    window_seconds: float = 60
    _windows: dict[str, tuple[float, int]] = field(default_factory=dict)

    def spend(self, bucket: str) -> None:
        """Takes one point. Raises ApiError (429) on the request that uses up the last one: of a
        limit of 30, 29 pass."""
        limit = self.per_window.get(bucket)
        if limit is None:
            return
        now = time.monotonic()
        began, used = self._windows.get(bucket, (now, 0))
        if now - began >= self.window_seconds:
            began, used = now, 0
        used += 1
        self._windows[bucket] = (began, used)
        if limit - used < 1:
            raise too_many(limit, began + self.window_seconds - now)


def too_many(limit: int, wait_seconds: float) -> ApiError:
    """429 with the server's body and headers."""
    retry_after = max(1, round(wait_seconds))
    reset = datetime.now(UTC) + timedelta(seconds=wait_seconds)
    shown = reset.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")
    return ApiError(
        429,
        {
            "message": "Rate limit exceeded",
            "code": "rate_limited",
            "details": {
                "retryAfterSeconds": retry_after,
                "limit": limit,
                "remaining": 0,
                "resetAt": reset.strftime("%Y-%m-%dT%H:%M:%S.")
                + f"{reset.microsecond // 1000:03d}Z",
            },
        },
        {
            "retry-after": str(retry_after),
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": shown,
        },
    )
