"""A configured project, resolved: its Langfuse id, address and keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from llmops_jobs.errors import ConfigError, SourceError
from llmops_jobs.langfuse.settings import Project
from llmops_jobs.store import Database


@dataclass(frozen=True)
class ProjectKeys:
    """What is needed to talk to one project. The secret is kept out of repr and logs."""

    id: str
    name: str
    base_url: str
    public_key: str
    secret_key: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Names address and public key without showing them."""
        return hashlib.sha256(f"{self.base_url}|{self.public_key}".encode()).hexdigest()[:32]


def keys_of(project: Project, environ: Mapping[str, str] = os.environ) -> ProjectKeys:
    """The project's keys from the environment; `id` is '' when the file does not give it.

    Raises ConfigError that names the missing variables.
    """
    names = (project.base_url_env, project.public_key_env, project.secret_key_env)
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise ConfigError(
            f"project {project.name}: set {', '.join(missing)} in the environment "
            "(or run `llmops demo` for a stand-in Langfuse)"
        )
    base_url, public_key, secret_key = (environ[name].strip() for name in names)
    return ProjectKeys(
        id=project.id or "",
        name=project.name,
        base_url=base_url.rstrip("/"),
        public_key=public_key,
        secret_key=secret_key,
    )


def resolve(projects: Sequence[Project], database: Database) -> list[ProjectKeys]:
    """Every configured project with its Langfuse id.

    An id that is not in the configuration is asked of the server once and then remembered.
    """
    known = database.table("project")
    ids = dict(zip(known["key_hash"], known["project_id"], strict=True))
    resolved = []
    for project in projects:
        keys = keys_of(project)
        project_id = keys.id or ids.get(keys.fingerprint)
        if not project_id:
            project_id = _ask(keys, database)
        resolved.append(
            ProjectKeys(project_id, keys.name, keys.base_url, keys.public_key, keys.secret_key)
        )
    return resolved


def _ask(keys: ProjectKeys, database: Database) -> str:
    import httpx

    try:
        answer = httpx.get(
            f"{keys.base_url}/api/public/projects",
            auth=(keys.public_key, keys.secret_key),
            timeout=30,
        )
        answer.raise_for_status()
        project_id = str(answer.json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise SourceError(
            f"{keys.base_url} did not say which project the keys belong to: {error}"
        ) from error
    database.upsert(
        "project",
        pd.DataFrame(
            [
                {
                    "project_id": project_id,
                    "name": keys.name,
                    "key_hash": keys.fingerprint,
                    "base_url": keys.base_url,
                    "server_version": "",
                    "retention_days": None,
                    "seen_at": None,
                }
            ]
        ),
    )
    return project_id
