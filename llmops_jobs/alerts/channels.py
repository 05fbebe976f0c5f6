"""Sending one message through one channel.

A sender returns when the receiver has accepted. It raises `RetryLaterError` when a later try may
succeed and `RefusedError` when none will; neither text holds an address, a key or a body.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmops_jobs.alerts.settings import Channel
from llmops_jobs.errors import ConfigError

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("llmops.alerts")
TIMEOUT = 10.0


class RetryLaterError(Exception):
    """Not now. `after` is the receiver's wish in seconds, if it said one."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class RefusedError(Exception):
    """Never: the receiver says that the message or the address is wrong."""


def send(channel: Channel, key: str, message: Mapping[str, Any]) -> None:
    """Delivers one message. `key` is what a receiver may drop repeats by."""
    if channel.kind == "log":
        log.warning("%s [%s] %s", message["kind"], message["severity"], message["summary"])
        return
    if channel.kind == "webhook":
        _webhook(channel, key, message)
        return
    raise RefusedError(f"channel {channel.name}: kind {channel.kind} is not built yet")


def _webhook(channel: Channel, key: str, message: Mapping[str, Any]) -> None:
    body = json.dumps({"event_key": key, **message}, sort_keys=True).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    if channel.secret_env:
        secret = _variable(channel, channel.secret_env)
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Llmops-Signature"] = f"sha256={signature}"
    _post(channel, _variable(channel, channel.url_env), body, headers)


def _variable(channel: Channel, name: str) -> str:
    value = os.environ.get(name, "") if name else ""
    if not value:
        raise ConfigError(f"channel {channel.name}: set {name or 'url_env'} in the environment")
    return value


def _post(channel: Channel, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    import httpx

    try:
        answer = httpx.post(url, content=body, headers=dict(headers), timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise RetryLaterError(f"{channel.name}: {type(error).__name__}") from None
    except (httpx.InvalidURL, ValueError):
        raise RefusedError(
            f"{channel.name}: the address in {channel.url_env} is not a URL"
        ) from None
    _judge(channel, answer)


def _judge(channel: Channel, answer: httpx.Response) -> None:
    if answer.is_success:
        return
    text = f"{channel.name}: HTTP {answer.status_code}"
    if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
        after = answer.headers.get("retry-after", "")
        raise RetryLaterError(text, float(after) if after.replace(".", "", 1).isdigit() else None)
    raise RefusedError(text)
