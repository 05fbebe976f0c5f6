"""A message in words, for the channels that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_jobs.dimensions import NONE_LABEL

_HEAD = {
    "open": "New",
    "reminder": "Still open",
    "refresh": "Still open",
    "escalate": "Escalated",
    "acknowledge": "Acknowledged",
    "resolve": "Resolved",
    "test": "Test",
}
_SENTENCES = 5
_DIGEST_SENTENCES = 10


def subject(message: Mapping[str, Any], most: int = 150) -> str:
    """One line: what happened to the incident, how grave it is, what it is."""
    if message["kind"] == "digest":
        return cut(str(message["summary"]), most)
    head = _HEAD.get(str(message["kind"]), str(message["kind"]))
    mark = "" if message["kind"] == "resolve" else f" ({message['severity']})"
    return cut(f"{head}{mark}: {message['summary']}", most)


def facts(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what belongs beside the sentence, in the order of reading."""
    if message["kind"] == "digest":
        return [("Project", cut(str(message["project_id"]), 400))] if message["project_id"] else []
    labels = message.get("labels") or {}
    where = ", ".join(f"{name}={value or NONE_LABEL}" for name, value in labels.items())
    shares = ", ".join(
        f"{row['slice']} ({row['share']:.0%})" for row in message.get("contributions") or ()
    )
    found = [
        ("Rule", str(message.get("rule", ""))),
        ("Where", where),
        ("Since", str(message.get("first_day", ""))),
        ("Grew most in", shares),
        ("Ended because", str(message.get("why", ""))),
        ("By", str(message.get("by", ""))),
        ("Owner", str(message.get("owner", ""))),
        ("Project", str(message.get("project_id", ""))),
    ]
    return [(name, cut(value, 400)) for name, value in found if value]


def also(message: Mapping[str, Any]) -> list[str]:
    """What else is part of the incident, or what the report says, sentence by sentence."""
    most = _DIGEST_SENTENCES if message["kind"] == "digest" else _SENTENCES
    return [cut(str(text), 200) for text in message.get("also") or ()][:most]


def also_title(message: Mapping[str, Any]) -> str:
    return "The report says" if message["kind"] == "digest" else "Part of it"


def links(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(text, address) of report, runbook and traces; only addresses of the web."""
    found = [("Report", str(message.get("report") or ""))]
    found += [("Runbook", str(message.get("runbook") or ""))]
    traces = message.get("traces") or ()
    found += [(f"Trace {i}", str(address)) for i, address in enumerate(traces, 1)]
    return [(text, link) for text, link in found if link.startswith(("https://", "http://"))]


def command(message: Mapping[str, Any]) -> str:
    """What to type to take it on, while it is open."""
    if message["kind"] in ("resolve", "test", "acknowledge") or not message.get("fingerprint"):
        return ""
    return f"llmops alerts ack {str(message['fingerprint'])[:12]}"


def cut(text: str, most: int) -> str:
    """At most so many characters, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def face(message: Mapping[str, Any], name: str) -> Any:
    """What the sender of a digest has written for one kind of channel already; None elsewhere."""
    return (message.get("faces") or {}).get(name)
