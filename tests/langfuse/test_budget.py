"""A backfill inside the organization's rate limit, against a server that enforces it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.demo.server.limits import Limits
from llmops_jobs.langfuse import limits
from llmops_jobs.langfuse.limits import shared_limit
from llmops_jobs.langfuse.project import informed
from llmops_jobs.langfuse.pull import pull_observations
from tests.langfuse.wire_rows import DAY, deployed, observation

DAYS = [DAY - timedelta(days=back) for back in range(12)]
LIMIT, WINDOW = 8, 1.0


def row(day: date) -> dict[str, Any]:
    at = f"{day}T10:00:00.000Z"
    return observation(1, id=str(day), startTime=at, endTime=at)


@pytest.fixture
def server() -> Iterator[Running]:
    enforced = Limits({"general": LIMIT}, window_seconds=WINDOW)
    with running(MemorySource(map(row, DAYS)), limits=enforced) as started:
        yield started


def refusals(server: Running) -> int:
    """Requests for rows beyond those that a pull of the days needs: one a day."""
    asked = [line for line in server.state.requests if "v2/observations" in line]
    return len(asked) - len(DAYS)


def test_projects_side_by_side_stay_inside_the_budget_of_their_organization(
    server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WINDOW_S", WINDOW * 1.1)
    deployment, keys = deployed(server, tmp_path, requests_per_minute=LIMIT)
    project = replace(keys, organization="one")
    informed(project, deployment.database)  # asked outside the budget that is tested
    time.sleep(WINDOW * 1.1)
    shared_limit(keys.base_url, "one", LIMIT)._opened = -WINDOW * 2
    threads = [
        threading.Thread(
            target=lambda part=part: list(pull_observations(deployment, project, part))
        )
        for part in (DAYS[:6], DAYS[6:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert deployment.lake.days("observations", project.id) == sorted(DAYS)
    assert refusals(server) == 0


def test_without_a_known_limit_the_server_is_obeyed_and_nothing_is_lost(
    server: Running, tmp_path: Path
) -> None:
    deployment, project = deployed(server, tmp_path)
    assert len(list(pull_observations(deployment, project, DAYS))) == len(DAYS)
    assert deployment.lake.days("observations", project.id) == sorted(DAYS)
    assert refusals(server) > 0
