"""Opens the source that a project is configured to be read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_jobs.deployment import Deployment
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.raw import Source

if TYPE_CHECKING:
    from llmops_jobs.langfuse.api import Api
    from llmops_jobs.langfuse.client import Client


def open_source(deployment: Deployment, project: ProjectKeys) -> Source:
    """The project's source; close it after use."""
    return open_api(deployment, project)


def open_api(deployment: Deployment, project: ProjectKeys) -> Api:
    from llmops_jobs.langfuse.api import Api

    return Api(open_client(deployment, project), deployment.settings.ingest.parallel)


def open_client(deployment: Deployment, project: ProjectKeys) -> Client:
    """A client under the budget of requests that the project's organization shares."""
    from llmops_jobs.langfuse.client import Client
    from llmops_jobs.langfuse.limits import shared_limit

    settings = deployment.settings.ingest
    limit = shared_limit(project.base_url, project.organization, settings.requests_per_minute)
    return Client(project, limit, parallel=settings.parallel)
