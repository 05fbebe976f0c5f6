"""A run's scoring of every configured project."""

from __future__ import annotations

from llmops_jobs.deployment import Deployment
from llmops_jobs.evals.judge.night import Judge
from llmops_jobs.evals.measure import Scoring


def prepared(deployment: Deployment) -> dict[str, Scoring]:
    """Project id -> what scores it. Raises ConfigError for a judge that is half configured."""
    settings = deployment.settings.evals
    return {
        keys.id: Scoring.prepared(
            deployment.lake,
            deployment.database,
            settings,
            Judge.configured(settings.judge, keys),
            on_spark=deployment.settings.engine == "spark",
        )
        for keys in deployment.projects()
    }
