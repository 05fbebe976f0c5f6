"""The code location: the one module that knows both the domain and the assets."""

from __future__ import annotations

import warnings
from typing import Any

import dagster as dg

# Told once a decoration and process; the policy is what this project is built on.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from llmops_jobs.resources import DeploymentResource  # noqa: E402


def build_defs(*, resources: dict[str, Any] | None = None) -> dg.Definitions:
    """The definitions, with resources replaced where a test says so."""
    from assets import all_assets, all_checks
    from llmops_jobs.jobs import JOBS
    from llmops_jobs.schedules import SCHEDULES
    from llmops_jobs.sensors import SENSORS

    return dg.Definitions(
        assets=all_assets(),
        asset_checks=all_checks(),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources={"deployment": DeploymentResource(), **(resources or {})},
        # The default, a process per step, costs six CPU-seconds a step.
        executor=dg.in_process_executor,
    )


defs = build_defs()
