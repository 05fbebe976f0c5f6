"""The reports that were written."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import day, instant, project, text, text_key
from llmops_jobs.store.tables.metadata import METADATA

report = sa.Table(
    "report",
    METADATA,
    project(),
    text_key("period", "day, week or month", 8),
    day(comment="last day of the period"),
    text("path", "of the HTML page, relative to the reports' root"),
    text("sha256", "of report.json"),
    text("verdict", "ok, watch, act"),
    text("headline", "one sentence"),
    text("price_book_hash", "hash of the price book"),
    text("code_version", "version of this project"),
    instant("written_at", "when it last changed"),
    comment="one row per project, period and day",
)
