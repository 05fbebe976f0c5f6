"""The Dagster resource through which assets reach the deployment."""

from __future__ import annotations

import dagster as dg

from llmops_jobs.deployment import Deployment


class DeploymentResource(dg.ConfigurableResource):
    """Settings are read when a run starts, not when the code location loads."""

    def open(self) -> Deployment:
        return Deployment.from_environment()
