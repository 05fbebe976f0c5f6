"""Whatever happens to the source and to us, in any order: the last pull makes the copy the truth.

A model keeps what the source holds. Steps add rows (late ones too), send them again changed, delete
them, pull days, crash in the middle of a landing, and pull with faults. In the end every day is
pulled once more and must equal the model; at every step a day is whole: what it was, or what it is.

LLMOPS_EXAMPLES sets how many scripts are tried: 10 unless set. They share a database and a lake,
each as a project of its own, until a folder has seen FOLDER of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_jobs.demo.server import MemorySource, Running, running
from llmops_jobs.demo.server.faults import Fault
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse import api, client, landing
from llmops_jobs.langfuse.client import Patience
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.pull import pull_observations
from tests.langfuse.wire_rows import DAY, deployed, observation

DAYS = [DAY, DAY + timedelta(days=1)]
IDS = 12
FOLDER = 25
FAULTS = ("server_error", "half_page", "rows_ahead", "repeated_cursor", "timeout_422")

day_of = st.sampled_from(range(len(DAYS)))
number = st.integers(0, IDS - 1)
cost = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("add"), day_of, number, cost),
    st.tuples(st.just("again"), day_of, number, cost),
    st.tuples(st.just("delete"), day_of, number),
    st.tuples(st.just("pull"), day_of),
    st.tuples(st.just("faulty"), day_of, st.sampled_from(FAULTS), st.integers(1, 3)),
    st.tuples(st.just("crash"), day_of, st.sampled_from(("before", "after"))),
    st.tuples(st.just("both")),
)


class Crash(BaseException):
    """The process ends here."""


class World:
    """The source's truth, our copy, and the steps that can be taken."""

    def __init__(
        self, server: Running, source: MemorySource, deployment: Deployment, project: ProjectKeys
    ) -> None:
        self.server, self.source = server, source
        self.deployment, self.project = deployment, project
        self.truth: list[dict[str, int]] = [{} for _ in DAYS]
        self.held: list[dict[str, int]] = [{} for _ in DAYS]
        self.clock = 0

    def send(self, day: int, which: int, cents: int) -> None:
        """A version of a row that is newer than every other."""
        self.clock += 1
        at = f"{DAYS[-1] + timedelta(days=1)}T{self.clock // 60:02}:{self.clock % 60:02}:00.000Z"
        start = f"{DAYS[day]}T{which:02}:30:00.000Z"
        row = observation(
            which, id=f"o{which}", traceId=f"d{day}-{which % 3}", startTime=start, endTime=start,
            createdAt=at, updatedAt=at, costDetails={"total": cents},
        )  # fmt: skip
        self.source.add([row])
        self.truth[day][f"o{which}"] = cents

    def add(self, day: int, which: int, cents: int) -> None:
        if f"o{which}" not in self.truth[day]:
            self.send(day, which, cents)

    def again(self, day: int, which: int, cents: int) -> None:
        if f"o{which}" in self.truth[day]:
            self.send(day, which, cents)

    def delete(self, day: int, which: int) -> None:
        gone = f"d{day}-{which % 3}", f"o{which}"
        self.source.observations = [
            row for row in self.source.observations if (row["traceId"], row["id"]) != gone
        ]
        self.source.changed()
        self.truth[day].pop(f"o{which}", None)

    def pull(self, day: int) -> None:
        list(pull_observations(self.deployment, self.project, [DAYS[day]]))
        self.held[day] = dict(self.truth[day])

    def both(self) -> None:
        list(pull_observations(self.deployment, self.project, DAYS))
        self.held = [dict(day) for day in self.truth]

    def faulty(self, day: int, kind: str, last: int) -> None:
        self.server.state.faults.set([Fault(kind, first=last, last=last + 2, every=2)])
        try:
            self.pull(day)
        except SourceError:
            pass
        finally:
            self.server.state.faults.clear()

    def crash(self, day: int, when: str) -> None:
        """Before the lake is written the day stays; after it, the day is new and unrecorded."""
        real = landing._record

        def ending(database: Any, done: Any, digest: str, *rest: Any) -> None:
            real(database, done, digest, *rest) if not digest else None
            if (when == "before") == (not digest):
                raise Crash

        landing._record = ending
        try:
            self.pull(day)
        except Crash:
            if when == "after":
                self.held[day] = dict(self.truth[day])
        finally:
            landing._record = real

    def copy(self, day: int) -> dict[str, int]:
        rows = self.deployment.lake.read_day("observations", self.project.id, DAYS[day])
        found = dict(
            zip(
                rows["observation_id"].to_pylist(),
                map(int, rows["reported_cost_usd"].to_pylist()),
                strict=True,
            )
        )
        assert len(found) == rows.num_rows, "a row is there twice"
        return found


class Stage:
    """A stand-in, and a folder that is renewed after so many scripts."""

    def __init__(self, server: Running, source: MemorySource, folder: Path) -> None:
        self.server, self.source, self.folder = server, source, folder
        self.scripts = 0
        self.deployment: Deployment

    def world(self) -> World:
        if self.scripts % FOLDER == 0:
            home = self.folder / str(self.scripts)
            home.mkdir()
            self.deployment, _ = deployed(self.server, home, parallel=2)
        self.scripts += 1
        self.source.project_id = f"project-{self.scripts}"
        self.source.replace()
        self.server.state.faults.clear()
        self.server.state.requests.clear()
        _, keys = deployed(self.server, self.folder, self.source.project_id)
        return World(self.server, self.source, self.deployment, keys)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    source = MemorySource()
    quick = Patience(tries=2, first_wait=0.0005, longest_wait=0.001, connect=2, read=1, whole=2)
    with pytest.MonkeyPatch.context() as patched, running(source) as server:
        patched.setattr(client, "Patience", lambda **_: quick)
        patched.setattr(api.OBSERVATION_KIND.__class__, "__setattr__", object.__setattr__)
        patched.setattr(api.OBSERVATION_KIND, "limit", 3)
        yield Stage(server, source, tmp_path_factory.mktemp("truth"))


def check(stage: Stage, script: list[tuple[Any, ...]]) -> None:
    world = stage.world()
    for name, *arguments in script:
        step: Callable[..., None] = getattr(world, name)
        step(*arguments)
        for day in range(len(DAYS)):
            assert world.copy(day) == world.held[day], (name, arguments)
    world.both()
    for day in range(len(DAYS)):
        assert world.copy(day) == world.truth[day]
    unchanged = list(pull_observations(world.deployment, world.project, DAYS))
    assert [done.changed for done in unchanged] == [False] * len(DAYS)


@settings(
    max_examples=int(os.environ.get("LLMOPS_EXAMPLES", "10")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(steps, max_size=14))
def test_the_copy_is_the_truth_after_any_interleaving(
    stage: Stage, script: list[tuple[Any, ...]]
) -> None:
    check(stage, script)
