"""How a sender says that it did not work."""

from __future__ import annotations

import os

from llmops_jobs.alerts.settings import Channel
from llmops_jobs.errors import ConfigError


class RetryLaterError(Exception):
    """Not now. `after` is the receiver's wish in seconds, if it said one."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class RefusedError(Exception):
    """Never: the receiver says that the message or the address is wrong."""


def variable(channel: Channel, name: str) -> str:
    """The value of an environment variable. Raises ConfigError with its name when it is empty."""
    value = os.environ.get(name, "") if name else ""
    if not value:
        raise ConfigError(f"channel {channel.name}: set {name or 'url_env'} in the environment")
    return value
