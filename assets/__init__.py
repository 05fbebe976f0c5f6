"""The Dagster graph: one module per group, each asset a few lines.

An asset gets its days, calls one function of the domain, replaces its window in the store and
attaches metadata per day. Computation belongs in `llmops_jobs`.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import dagster as dg

# In the order of the data; the names are the groups in the UI.
GROUPS = (
    *("ingest", "ledger", "signals", "quality", "forecast", "versions", "report", "alerts"),
    "health",
)


def _modules() -> list[ModuleType]:
    return [importlib.import_module(f"assets.{name}") for name in GROUPS]


def all_assets() -> list[dg.AssetsDefinition]:
    return [
        asset
        for asset in dg.load_assets_from_modules(_modules())
        if isinstance(asset, dg.AssetsDefinition)
    ]


def all_checks() -> list[dg.AssetChecksDefinition]:
    return list(dg.load_asset_checks_from_modules(_modules()))
