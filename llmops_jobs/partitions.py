"""The daily partitions of every asset."""

from __future__ import annotations

import os

import dagster as dg

# Nothing is read before a partition is asked for, so an early start costs nothing but a longer
# list in the UI. LLMOPS_FIRST_DAY moves it.
DAILY = dg.DailyPartitionsDefinition(start_date=os.environ.get("LLMOPS_FIRST_DAY", "2025-01-01"))
