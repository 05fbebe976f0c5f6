"""Slack's incoming webhooks, in Block Kit.

A webhook has no key by which Slack drops repeats: a message may appear twice after a crash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llmops_jobs.alerts.channels import words
from llmops_jobs.alerts.channels.errors import variable
from llmops_jobs.alerts.channels.http import post
from llmops_jobs.alerts.settings import Channel

_SIGN = {
    "critical": ":red_circle:",
    "warning": ":large_orange_circle:",
    "info": ":information_source:",
}


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    body = json.dumps(payload(message)).encode()
    post(channel, variable(channel, channel.url_env), body, {})


def payload(message: Mapping[str, Any]) -> dict[str, Any]:
    """The webhook's body: `text` for notifications, `blocks` for the channel."""
    if ready := words.face(message, "slack"):
        return {"text": escape(words.subject(message)), "blocks": ready}
    sign = (
        ":white_check_mark:"
        if message["kind"] == "resolve"
        else _SIGN.get(str(message["severity"]), "")
    )
    blocks: list[dict[str, Any]] = [
        _section(f"{sign} *{escape(words.subject(message, 600))}*"),
    ]
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{escape(value)}"}
        for name, value in words.facts(message)
    ]
    if fields:
        blocks.append({"type": "section", "fields": fields[:10]})
    if lines := words.also(message):
        blocks.append(
            _section(
                f"*{words.also_title(message)}*\n" + "\n".join(f"• {escape(t)}" for t in lines)
            )
        )
    links = [f"<{_address(link)}|{text}>" for text, link in words.links(message)]
    tail = [*links, *([f"`{command}`"] if (command := words.command(message)) else [])]
    if tail:
        elements = [{"type": "mrkdwn", "text": words.cut(text, 2900)} for text in tail]
        blocks.append({"type": "context", "elements": elements[:10]})
    return {"text": escape(words.subject(message)), "blocks": blocks}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:3000]}}


def escape(text: str) -> str:
    """Slack's three control characters; without `<` no text can mention or link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _address(link: str) -> str:
    return link.replace("|", "%7C").replace(">", "%3E").replace("<", "%3C")
