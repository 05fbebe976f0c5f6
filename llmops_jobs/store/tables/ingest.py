"""What was copied, how it compares with the source, and what was refused."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import count, day, instant, number, text, text_key, usd
from llmops_jobs.store.columns import project as project_key
from llmops_jobs.store.tables.metadata import METADATA

project = sa.Table(
    "project",
    METADATA,
    text_key("project_id", "id that the source gives the project"),
    text("name", "name in the configuration"),
    text("key_hash", "hash of base URL and public key: the answer is asked for once"),
    text("base_url", "of the source, for links"),
    text("organization", "id of the organization, whose projects share a rate limit"),
    text("server_version", "seen last"),
    sa.Column("retention_days", sa.Integer, comment="of the source; null when unlimited"),
    instant("seen_at", "last contact"),
    comment="one row per project of the source that was ever reached",
)

reconciliation = sa.Table(
    "reconciliation",
    METADATA,
    project_key(),
    day(),
    count("rows_here", "observations held, deduplicated"),
    sa.Column("rows_source", sa.BigInteger, comment="observations by the source's Metrics API"),
    usd("cost_here", "reported cost of the rows held, USD"),
    usd("cost_source", "cost by the source's Metrics API, USD"),
    sa.Column("tokens_here", sa.BigInteger, comment="total tokens of the rows held"),
    sa.Column("tokens_source", sa.BigInteger, comment="total tokens by the Metrics API"),
    count("duplicates", "rows the source sent more than once"),
    count("late_rows", "rows written by the source after the day's first pull"),
    count("quarantined", "rows refused"),
    count("unexplained", "rows_source - rows_here - duplicates - quarantined"),
    text("status", "ok, differs, truncated, out_of_reach, not_checked"),
    text("detail", "one sentence for people"),
    instant("checked_at", "when the source was asked"),
    comment="one row per project and day: our copy beside the source",
)

quarantine = sa.Table(
    "quarantine",
    METADATA,
    project_key(),
    day(comment="UTC day of the partition that was pulled"),
    text_key("source", "observations or scores"),
    text_key("row_id", "the source's row id, or a hash of the row"),
    text("reason", "why it was refused"),
    text("excerpt", "the offending field and value, cut; never input or output"),
    comment="one row per refused source row",
)

pull = sa.Table(
    "pull",
    METADATA,
    project_key(),
    day(),
    text_key("source", "observations or scores"),
    count("rows", "rows landed"),
    count("pages", "pages read"),
    count("bytes", "bytes read"),
    number("seconds", "time spent"),
    count("duplicates", "rows that the source sent more than once, dropped"),
    count("late_rows", "rows written by the source after the day's first pull was due"),
    count("quarantined", "rows refused"),
    count("doubtful", "rows whose token counts contradict each other, kept and marked"),
    text("content_hash", "hash of the landed rows; equal hash means nothing was rewritten"),
    instant("first_pulled_at", "first time this day was landed"),
    instant("pulled_at", "last time"),
    sa.Column("stale", sa.Boolean, nullable=False, default=False, comment="late rows are known"),
    comment="one row per project, day and source: the state of the copy",
)

sweep = sa.Table(
    "sweep",
    METADATA,
    project_key(),
    instant("swept_at", "up to when late rows were looked for", nullable=False),
    count("rows", "rows that ended since the sweep before and start before the nightly window"),
    count("stale", "days that were marked stale"),
    comment="one row per project: how far the search for late rows is",
)
