"""One deployment: the settings and the two stores they point at.

The command line, the Dagster resource and tests all start here; nothing here imports Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llmops_jobs.config import Settings, load

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.langfuse.project import ProjectKeys
    from llmops_jobs.store import Database


@dataclass(frozen=True)
class Deployment:
    settings: Settings

    @classmethod
    def from_environment(cls) -> Deployment:
        return cls(load())

    @cached_property
    def lake(self) -> Lake:
        from llmops_jobs.lake import Lake

        return Lake(self.settings.lake_url)

    @cached_property
    def database(self) -> Database:
        """Connected, and at the tables of this version."""
        database = self.unmigrated_database()
        database.create()
        return database

    def unmigrated_database(self) -> Database:
        """Connected, with whatever tables it has."""
        from llmops_jobs.store import Database

        return Database(self.settings.database_url)

    @cached_property
    def engine(self) -> Engine:
        from llmops_jobs.lake.engine import engine_for

        return engine_for(self.settings.engine)

    def projects(self) -> list[ProjectKeys]:
        """The configured projects with their Langfuse ids and keys."""
        from llmops_jobs.langfuse.project import resolve

        return resolve(self.settings.projects, self.database)
