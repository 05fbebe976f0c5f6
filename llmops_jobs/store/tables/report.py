"""The reports that were written."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import count, day, instant, number, project, text, text_key, usd
from llmops_jobs.store.tables.metadata import METADATA

report = sa.Table(
    "report",
    METADATA,
    project(),
    text_key("period", "day, week or month", 8),
    day(comment="last calendar day of the period"),
    sa.Column("as_of", sa.Date, comment="last day that the report covers; earlier while it runs"),
    text("path", "of the HTML page, relative to the reports' root"),
    text("sha256", "of report.json"),
    text("verdict", "ok, watch, act"),
    text("headline", "one sentence"),
    text("price_book_hash", "hash of the price book"),
    text("code_version", "version of this project"),
    usd("spend_usd", "product spend of the period, USD"),
    count("requests", "model calls of the period"),
    number("error_rate", "failed model calls / model calls, 0 to 1"),
    number("latency_p95_s", "95th percentile of whole traces, seconds"),
    number("quality", "pass rate of the headline metric, 0 to 1"),
    instant("written_at", "when it last changed"),
    comment="one row per project (or all), period and day",
)
