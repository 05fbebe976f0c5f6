"""Rows as the wire shows them, a test's day, and a deployment pointed at a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from llmops_jobs.config import Settings
from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.rows import Normaliser
from llmops_jobs.langfuse.settings import DimensionRules
from llmops_jobs.langfuse.traces import finish
from llmops_jobs.langfuse.wire import Decoder, Observation, observation_table

DAY = date(2026, 3, 4)


def observation(number: int = 0, **values: Any) -> dict[str, Any]:
    """One generation of DAY; an id per number, two to a trace."""
    time = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
    return {
        "id": f"o{number}",
        "traceId": f"t{number // 2}",
        "type": "GENERATION",
        "name": "llm-call",
        "startTime": f"{DAY}T{time}.000Z",
        "endTime": f"{DAY}T{time}.500Z",
        "createdAt": f"{DAY}T23:59:00.000Z",
        "updatedAt": f"{DAY}T23:59:00.000Z",
        "model": "gpt-4o-mini",
        "usageDetails": {"input": 100, "output": 20, "total": 120},
        "costDetails": {"input": 0.0001, "output": 0.0002, "total": 0.0003},
        "totalCost": 0.0003,
        **values,
    }


def score(number: int = 0, **values: Any) -> dict[str, Any]:
    return {
        "id": f"s{number}",
        "name": "user_feedback",
        "dataType": "BOOLEAN",
        "value": True,
        "timestamp": f"{DAY}T12:00:00.000Z",
        "subject": {"kind": "trace", "id": f"t{number}"},
        **values,
    }


def landed(rows: Sequence[dict[str, Any]], rules: DimensionRules | None = None) -> pa.Table:
    """Rows on the wire -> rows of the lake, without server or lake."""
    import json

    page = Decoder(Observation).decode(json.dumps({"data": rows, "meta": {}}).encode())
    good, _ = Normaliser(rules or DimensionRules()).rows(observation_table(page.rows))
    return finish(good)[0]


@contextmanager
def standing(
    source: MemorySource, home: Path, **ingest: Any
) -> Iterator[tuple[Deployment, ProjectKeys, Running]]:
    """A stand-in with a source, and a deployment of its own that reads from it."""
    with running(source) as server:
        yield *deployed(server, home, **ingest), server


def deployed(
    server: Running, home: Path, project_id: str = "local-project", **ingest: Any
) -> tuple[Deployment, ProjectKeys]:
    settings = Settings.model_validate(
        {
            "home": str(home),
            "database_url": f"sqlite:///{home}/llmops.db",
            "lake_url": str(home / "lake"),
            "ingest": ingest,
        }
    )
    keys = ProjectKeys(project_id, "test", server.url, server.public_key, server.secret_key)
    return Deployment(settings), keys


Sleep = Callable[[float], None]
