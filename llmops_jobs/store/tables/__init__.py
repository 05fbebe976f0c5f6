"""Every table of the database, one module per stage; importing this package registers them all.

The comment of a table is its grain, the comment of a column its meaning and unit: the dictionary
in the docs is generated from them.
"""

from __future__ import annotations

from llmops_jobs.store.tables import (
    alerts,
    evals,
    forecast,
    ingest,
    ledger,
    report,
    signals,
    versions,
)
from llmops_jobs.store.tables.metadata import METADATA

TABLES = METADATA.tables

__all__ = [
    "METADATA",
    "TABLES",
    "alerts",
    "evals",
    "forecast",
    "ingest",
    "ledger",
    "report",
    "signals",
    "versions",
]
