"""Sending one message through one channel; a module per kind.

A sender returns when the receiver has accepted. It raises `RetryLaterError` when a later try may
succeed and `RefusedError` when none will; neither text holds an address, a key or a body.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llmops_jobs.alerts.channels.errors import RefusedError, RetryLaterError
from llmops_jobs.alerts.settings import Channel
from llmops_jobs.errors import ConfigError

__all__ = ["RefusedError", "RetryLaterError", "missing_variables", "send"]

log = logging.getLogger("llmops.alerts")
_MODULES = ("webhook", "slack", "pagerduty", "email", "alertmanager", "teams", "notify")


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    """Delivers one message. `key` is what a receiver may drop repeats by.

    Raises RetryLaterError, RefusedError, or ConfigError for a variable that is not set.
    """
    if channel.kind == "log":
        log.warning("%s [%s] %s", message["kind"], message["severity"], message["summary"])
        return
    assert channel.kind in _MODULES
    module = importlib.import_module(f"llmops_jobs.alerts.channels.{channel.kind}")
    try:
        module.send(channel, key, message, now)
    except (RetryLaterError, RefusedError, ConfigError):
        raise
    except Exception as error:  # a faulty template must not stop the other messages
        # Only the kind: the text of an unknown error may hold the address or the body.
        raise RefusedError(f"{channel.name}: {type(error).__name__} while writing it") from None


def missing_variables(channel: Channel) -> list[str]:
    """Names of the environment variables that the channel needs and that are empty."""
    import os

    return [n for n in (channel.url_env, channel.secret_env) if n and not os.environ.get(n)]
