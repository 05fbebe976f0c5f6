"""Incidents and their delivery."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import count, instant, number, project, text, text_key
from llmops_jobs.store.tables.metadata import METADATA

incident = sa.Table(
    "incident",
    METADATA,
    project(),
    text_key("fingerprint", "hash of rule and labels", 64),
    sa.Column("episode", sa.Integer, primary_key=True, comment="1 for the first time it fired"),
    text("rule", "name of the rule"),
    text("labels", "JSON object: the slice"),
    text("state", "pending, open, acknowledged, resolved, silenced"),
    text("severity", "info, warning, critical"),
    text("summary", "one sentence, without text of users"),
    text(
        "detail",
        "JSON object: evidence, contributions, members (fingerprints of its findings), policy",
    ),
    number("value", "what was measured"),
    number("threshold", "what it was held against"),
    text("owner", "who answers for it"),
    text("runbook", "address of the runbook"),
    sa.Column("first_day", sa.Date, comment="first day it fired"),
    sa.Column("last_day", sa.Date, comment="last day evaluated"),
    count("fired", "evaluations in a row that fired"),
    count("cleared", "evaluations in a row that were clear"),
    instant("opened_at", "when it opened"),
    instant("acknowledged_at", "when it was acknowledged"),
    text("acknowledged_by", "by whom"),
    instant("resolved_at", "when it resolved"),
    instant("notified_at", "when a message was last queued"),
    comment="one row per project, fingerprint and episode",
)

notification = sa.Table(
    "notification",
    METADATA,
    text_key(
        "event_key", "project:fingerprint:episode:kind[:day]: receivers drop repeats by it", 128
    ),
    text_key("channel", "name of the channel", 64),
    text("project_id", "Langfuse project"),
    text("fingerprint", "incident"),
    sa.Column("episode", sa.Integer, comment="episode of the incident"),
    text("kind", "open, reminder, refresh, escalate, acknowledge, resolve, digest"),
    text("payload", "JSON of the message; no secrets, no text of users"),
    text("status", "pending, leased, sent, silenced, dead"),
    count("attempts", "tries so far"),
    text("last_error", "of the last try, without secrets"),
    instant("created_at", "when it was queued"),
    instant("due_at", "not before"),
    instant("leased_until", "end of the worker's lease"),
    instant("sent_at", "when the channel accepted it"),
    comment="the outbox: one row per event and channel",
)

silence = sa.Table(
    "silence",
    METADATA,
    text_key("silence_id", "id", 64),
    text("matcher", "JSON object of label: value; all must match"),
    text("reason", "why"),
    text("created_by", "who"),
    instant("starts_at", "from", nullable=False),
    instant("ends_at", "until", nullable=False),
    comment="one row per silence",
)

heartbeat = sa.Table(
    "heartbeat",
    METADATA,
    text_key("name", "what beats", 64),
    instant("beat_at", "last beat"),
    text("detail", "what it did"),
    comment="one row per part that must stay alive",
)
