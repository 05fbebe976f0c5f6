"""Opens the source that a project is configured to be read from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from llmops_jobs import days
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.raw import Batch, Source

if TYPE_CHECKING:
    from llmops_jobs.langfuse.api import Api
    from llmops_jobs.langfuse.client import Client
    from llmops_jobs.langfuse.export import Export


def open_source(deployment: Deployment, project: ProjectKeys) -> Source:
    """The project's source; close it after use.

    Raises SourceError when an export's or OTLP files' folder is not there.
    """
    settings = project.source
    if settings.kind == "export":
        from llmops_jobs.langfuse.export import Export
        from llmops_jobs.langfuse.late import stale_days

        export = Export(settings.url, project.id, settings.prefix)
        api = open_api(deployment, project) if settings.top_up else None
        return ToppedUp(export, api, set(stale_days(deployment.database, project.id)))
    if settings.kind == "otlp":
        from llmops_jobs.langfuse.otlp import Otlp

        return Otlp(settings.url, project.id)
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


class ToppedUp:
    """An export, and by the API what an export lacks by its nature.

    The exporter looks at a window once, twenty minutes after its end: spans that were longer than
    that are asked for by their latency. Days known to be stale, and days that the export does not
    reach yet, are read whole by the API as well. Without the API such a day is an error, not half
    a day.
    """

    # Seconds: the export's lag, less what clocks may differ by.
    LONG = 19 * 60

    def __init__(self, export: Export, api: Api | None, stale: set[date]) -> None:
        self._export, self._api, self._stale = export, api, stale

    def observations(self, day: date) -> Iterator[Batch]:
        yield from self.beyond("observations", day)
        yield from self._export.observations(day)

    def scores(self, day: date) -> Iterator[Batch]:
        yield from self.beyond("scores", day)
        yield from self._export.scores(day)

    def beyond(self, source: str, day: date) -> Iterator[Batch]:
        """What the API has of a day and the export may lack.

        Raises SourceError for a day that is not exported to its end, without the API.
        """
        if source == "scores":
            if self._api is not None:
                # Feedback comes days after its window was exported, and edits later still.
                yield from self._api.scores(day)
            return
        reached = self._export.reaches is None or self._export.reaches >= days.end_of(day)
        if self._api is None:
            if not reached:
                raise SourceError(
                    f"{self._export.url} is exported until {self._export.reaches}: {day} is not "
                    "whole yet; run it later, or set `source.top_up: true` to read the rest by "
                    "the API"
                )
        elif not reached or day in self._stale:
            yield from self._api.observations(day)
        else:
            yield from self._long(day)

    def texts(self, wanted: pa.Table) -> pa.Table:
        found = self._export.texts(wanted)
        if self._api is None or found.num_rows == wanted.num_rows:
            return found
        pair = ["trace_id", "observation_id"]
        missing = wanted.join(found.select(pair), keys=pair, join_type="left anti")
        return pa.concat_tables([found, self._api.texts(missing)])

    def close(self) -> None:
        self._export.close()
        if self._api is not None:
            self._api.close()

    def _long(self, day: date) -> Iterator[Batch]:
        from llmops_jobs.langfuse.api import OBSERVATION_KIND

        assert self._api is not None
        latency = {"type": "number", "column": "latency", "operator": ">=", "value": self.LONG}
        yield from self._api.window(
            OBSERVATION_KIND,
            days.start_of(day),
            days.end_of(day),
            (("filter", json.dumps([latency])),),
        )
