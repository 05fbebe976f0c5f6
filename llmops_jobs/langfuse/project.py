"""A configured project, resolved: its Langfuse id, address and keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from llmops_jobs.errors import ConfigError, SourceError
from llmops_jobs.langfuse.settings import Project, SourceSettings
from llmops_jobs.store import Database

# How long what the server said of a project is taken for granted.
_FRESH = timedelta(days=1)


@dataclass(frozen=True)
class ProjectKeys:
    """What is needed to talk to one project. The secret is kept out of repr and logs."""

    id: str
    name: str
    base_url: str
    public_key: str
    secret_key: str = field(repr=False)
    organization: str = ""  # shares one rate limit; '' = all projects of the server
    retention_days: int | None = None  # of the source; None = unlimited
    source: SourceSettings = field(default_factory=SourceSettings)

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
    if missing and project.source.kind != "api" and project.id and not project.source.top_up:
        return ProjectKeys(project.id, project.name, "", "", "", source=project.source)
    if missing:
        raise ConfigError(
            f"project {project.name}: set {', '.join(missing)} in the environment "
            "(or run `llmops demo` for a stand-in Langfuse)"
        )
    base_url, public_key, secret_key = (environ[name].strip() for name in names)
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{project.base_url_env}={base_url!r} is no address: write https://cloud.langfuse.com "
            "or the address of your own server"
        )
    return ProjectKeys(
        id=project.id or "",
        name=project.name,
        base_url=base_url.rstrip("/"),
        public_key=public_key,
        secret_key=secret_key,
        organization=project.organization,
        source=project.source,
    )


def resolve(projects: Sequence[Project], database: Database) -> list[ProjectKeys]:
    """Every configured project with its Langfuse id.

    An id that is not in the configuration is asked of the server once and then remembered.
    """
    known = database.table("project")
    rows = {row["key_hash"]: row for row in known.to_dict("records")}
    resolved = []
    for project in projects:
        keys = keys_of(project)
        row = rows.get(keys.fingerprint)
        if row is not None:
            keys = _remembered(keys, row)
        resolved.append(keys if keys.id else _ask(keys, database))
    return resolved


def informed(project: ProjectKeys, database: Database) -> ProjectKeys:
    """The project with what its server says of it: retention and organization. Asked once a day.

    Raises SourceError for keys of another project, and for a server that cannot be read.
    """
    if not project.secret_key:
        return project
    known = database.table("project", project.id).to_dict("records")
    fresh = datetime.now(UTC) - _FRESH
    if not known or pd.isna(known[0]["seen_at"]) or known[0]["seen_at"] < fresh:
        return _ask(project, database)
    return _remembered(project, known[0])


def _remembered(project: ProjectKeys, row: Mapping[Hashable, Any]) -> ProjectKeys:
    retention = row["retention_days"]
    return replace(
        project,
        id=project.id or row["project_id"],
        organization=project.organization or row["organization"],
        retention_days=None if pd.isna(retention) else int(retention),
    )


def _ask(keys: ProjectKeys, database: Database) -> ProjectKeys:
    """Asks the server which project the keys belong to, and remembers what it says."""
    from llmops_jobs.langfuse.client import Client, Patience, server_version

    # Somebody waits for this answer: a server that is not there is told within seconds.
    with Client(keys, patience=Patience(tries=3)) as client:
        version = server_version(client)
        answer = client.json("/api/public/projects")
    try:
        found = answer["data"][0]
        project_id = str(found["id"])
    except (LookupError, TypeError) as error:
        raise SourceError(
            f"{keys.base_url} did not say which project the keys belong to: use a project's keys, "
            "not an organization's"
        ) from error
    if keys.id and keys.id != project_id:
        raise SourceError(
            f"the keys of project {keys.name} belong to {project_id}, and the configuration says "
            f"its id is {keys.id}: correct one of them"
        )
    organization = found.get("organization") or {}
    asked = replace(
        keys,
        id=project_id,
        organization=keys.organization or str(organization.get("id") or ""),
        retention_days=found.get("retentionDays") or None,
    )
    database.upsert(
        "project",
        pd.DataFrame(
            [
                {
                    "project_id": asked.id,
                    "name": asked.name,
                    "key_hash": asked.fingerprint,
                    "base_url": asked.base_url,
                    "organization": asked.organization,
                    "server_version": version,
                    "retention_days": asked.retention_days,
                    "seen_at": datetime.now(UTC),
                }
            ]
        ).astype(object),
    )
    return asked
