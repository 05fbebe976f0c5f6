"""Microsoft Teams, by a Workflows webhook: an Adaptive Card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llmops_jobs.alerts.channels import words
from llmops_jobs.alerts.channels.errors import variable
from llmops_jobs.alerts.channels.http import post
from llmops_jobs.alerts.settings import Channel

_COLOUR = {"critical": "Attention", "warning": "Warning", "info": "Accent"}


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    body = json.dumps(payload(message)).encode()
    post(channel, variable(channel, channel.url_env), body, {})


def payload(message: Mapping[str, Any]) -> dict[str, Any]:
    resolved = message["kind"] == "resolve"
    colour = "Good" if resolved else _COLOUR.get(str(message["severity"]), "Default")
    body: list[dict[str, Any]] = [
        _text(words.subject(message, 600), weight="Bolder", size="Medium", color=colour),
        {
            "type": "FactSet",
            "facts": [
                {"title": name, "value": plain(value)} for name, value in words.facts(message)
            ],
        },
        *(_text(f"• {text}") for text in words.also(message)),
    ]
    if command := words.command(message):
        body.append(_text(command, fontType="Monospace", isSubtle=True))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [
            {"type": "Action.OpenUrl", "title": text, "url": link}
            for text, link in words.links(message)
        ],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def _text(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": plain(text), "wrap": True, **style}


def plain(text: str) -> str:
    """Text in which nothing is Markdown: a link would hide where it leads."""
    return re.sub(r"([\\`*_\[\]()#])", r"\\\1", text)
