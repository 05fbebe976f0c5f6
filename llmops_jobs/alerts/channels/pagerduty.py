"""PagerDuty, Events API v2: one alert per incident, acknowledged and resolved with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llmops_jobs.alerts.channels import words
from llmops_jobs.alerts.channels.errors import variable
from llmops_jobs.alerts.channels.http import post
from llmops_jobs.alerts.settings import Channel

_ADDRESS = "https://events.pagerduty.com/v2/enqueue"
_ACTION = {"acknowledge": "acknowledge", "resolve": "resolve"}


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    if message["kind"] == "reminder":
        return  # PagerDuty reminds by itself
    routing = variable(channel, channel.secret_env)
    address = os.environ.get(channel.url_env) if channel.url_env else ""
    body = json.dumps(payload(message, routing)).encode()
    post(channel, address or _ADDRESS, body, {})


def payload(message: Mapping[str, Any], routing_key: str) -> dict[str, Any]:
    """The event's body; https://developer.pagerduty.com/docs/events-api-v2/."""
    action = _ACTION.get(str(message["kind"]), "trigger")
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": str(message["dedup_key"])[:255],
    }
    if action != "trigger":
        return event
    return event | {
        "client": "llmops-jobs",
        "payload": {
            "summary": words.cut(str(message["summary"]), 1024),
            "source": str(message.get("project_id") or "llmops"),
            "severity": message["severity"],  # critical, warning, info are PagerDuty's own too
            "class": str(message.get("rule", "")),
            "group": str(message.get("owner", "")),
            "custom_details": {
                **dict(words.facts(message)),
                **({"Part of it": words.also(message)} if words.also(message) else {}),
            },
        },
        "links": [{"href": link, "text": text} for text, link in words.links(message)],
    }
