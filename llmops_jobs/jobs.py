"""The jobs. Selections name groups, so that a new asset joins by being in its group."""

from __future__ import annotations

import dagster as dg

nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    description="Everything for a range of days: copy, price, measure, score, forecast, report.",
)

rebuild = dg.define_asset_job(
    "rebuild",
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("ingest"),
    description="Everything below the copy, from what the lake holds: no request to Langfuse.",
)

JOBS = [nightly, rebuild]
