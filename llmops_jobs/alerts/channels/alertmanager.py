"""Prometheus Alertmanager, API v2; `url_env` holds its base address.

Alertmanager identifies an alert by its labels and forgets one that is not repeated: the evaluation
repeats open incidents every night, and each post says that it holds until the next night and some
hours. It refuses an alert that starts after it ends, so the first day's start is sent every time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from llmops_jobs.alerts.channels import words
from llmops_jobs.alerts.channels.errors import variable
from llmops_jobs.alerts.channels.http import post
from llmops_jobs.alerts.settings import Channel

_HOLDS = timedelta(hours=26)  # the next night and its grace


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    base = variable(channel, channel.url_env).rstrip("/")
    body = json.dumps([alert(message, now)]).encode()
    post(channel, f"{base}/api/v2/alerts", body, {})


def alert(message: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    begun = datetime.combine(date.fromisoformat(message["first_day"]), time(), UTC)
    ends = now if message["kind"] == "resolve" else now + _HOLDS
    traces = [link for text, link in words.links(message) if text.startswith("Trace")]
    facts = dict(words.facts(message))
    labels = {
        "alertname": str(message["rule"]),
        "incident": str(message["dedup_key"]),
        "severity": str(message["severity"]),
        "project": str(message.get("project_id", "")),
        "owner": str(message.get("owner", "")),
        **{_name(name): str(value) for name, value in (message.get("labels") or {}).items()},
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {
            "summary": str(message["summary"]),
            **({"runbook_url": str(message["runbook"])} if message.get("runbook") else {}),
            **({"part_of_it": "\n".join(words.also(message))} if message.get("also") else {}),
            **({"grew_most_in": grew} if (grew := facts.get("Grew most in")) else {}),
            **({"traces": "\n".join(traces)} if traces else {}),
        },
        "startsAt": min(begun, ends).isoformat(),
        "endsAt": ends.isoformat(),
        **({"generatorURL": traces[0]} if traces else {}),
    }


def _name(label: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]", "_", label)
    return f"_{name}" if name[:1].isdigit() else name
