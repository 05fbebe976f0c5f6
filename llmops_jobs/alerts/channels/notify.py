"""Everything else, by Apprise (the extra `notify`): over a hundred services, plain text.

Apprise sends; it neither acknowledges nor resolves at the receiver, so every change of an incident
is a message of its own there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llmops_jobs.alerts.channels import words
from llmops_jobs.alerts.channels.email import text
from llmops_jobs.alerts.channels.errors import RefusedError, RetryLaterError, variable
from llmops_jobs.alerts.settings import Channel

_TYPE = {"critical": "failure", "warning": "warning"}


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    address = variable(channel, channel.url_env)
    try:
        import apprise
    except ModuleNotFoundError:
        raise RefusedError(
            f"{channel.name}: a channel of kind notify needs the extra: pip install "
            "'llmops-jobs[notify]'"
        ) from None
    target = apprise.Apprise()
    if not target.add(address):
        raise RefusedError(f"{channel.name}: {channel.url_env} is no address that Apprise knows")
    kind = _TYPE.get(str(message["severity"]), "info")
    kind = "success" if message["kind"] == "resolve" else kind
    if not target.notify(title=words.subject(message), body=text(message), notify_type=kind):
        raise RetryLaterError(f"{channel.name}: the service did not accept it")
