"""A late row, the whole way: found by the night, made good by the daemon, and no other day touched.

Dagster's own daemon runs as a process, loads the project as a deployment does, ticks the sensor and
launches the run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from llmops_jobs.days import today
from llmops_jobs.demo.server import MemorySource, running
from llmops_jobs.deployment import Deployment
from llmops_jobs.langfuse.late import stale_days
from llmops_jobs.launch import materialize
from llmops_jobs.schedules import END_TAG, START_TAG
from tests.langfuse.wire_rows import observation

DAYS = [today() - timedelta(days=back) for back in (9, 8, 7, 6, 1)]
LATE, NIGHT = DAYS[1], DAYS[-1]
_INSTANCE = """telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {runs: {max_concurrent_runs: 1}}
sensors: {use_threads: false}
"""


def at(day: date, number: int, **values: Any) -> dict[str, Any]:
    time_of_day = f"{day}T10:{number:02}"
    return observation(
        number,
        id=f"{day}-{number}",
        traceId=f"{day}-t{number}",
        startTime=f"{time_of_day}:00.000Z",
        endTime=f"{time_of_day}:01.000Z",
        createdAt=f"{time_of_day}:09.000Z",
        updatedAt=f"{time_of_day}:09.000Z",
        **values,
    )


@contextmanager
def daemon(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (folder / "daemon.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-m", "llmops_jobs.definitions"],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdout=log,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.mark.slow
def test_the_daemon_makes_a_stale_day_good_and_what_is_below_it_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MemorySource([at(day, n) for day in DAYS for n in range(5)])
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
    (tmp_path / "dagster.yaml").write_text(_INSTANCE)
    with running(source) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        database = Deployment.from_environment().database
        with dg.DagsterInstance.get() as instance:
            for first, last in ((DAYS[0], DAYS[3]), (NIGHT, NIGHT)):
                done = materialize(
                    first, last, instance=instance, select="group:ingest,group:ledger"
                )
                assert done.success, done.error
            # An exporter that was down delivers a span a week late; the next night's sweep sees it.
            source.add([at(LATE, 30) | {"createdAt": f"{NIGHT}T23:00:00.000Z"}])
            night = materialize(NIGHT, NIGHT, instance=instance, select="group:ingest")
            assert night.success, night.error
            assert stale_days(database) == [LATE]
            before = pulls(database)
            earlier = {run.run_id for run in instance.get_runs()}
            with daemon(tmp_path):
                wait_until(
                    lambda: [r for r in ended(instance) if r.run_id not in earlier], tmp_path
                )
            (run,) = [r for r in instance.get_runs() if r.run_id not in earlier]
            assert run.tags["dagster/sensor_name"] == "stale_days"
            assert (run.tags[START_TAG], run.tags[END_TAG]) == (str(LATE), str(LATE))
            assert run.status == dg.DagsterRunStatus.SUCCESS
            made = instance.get_records_for_run(
                run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1000
            ).records
        assets = {str(r.asset_key.to_user_string()) for r in made if r.asset_key}
        assert {"observations", "usage_daily", "spend_forecast", "report"} <= assets
        assert {r.partition_key for r in made} == {str(LATE)}
        assert stale_days(database) == []
        after = pulls(database)
        assert after.pop(LATE) > before.pop(LATE)
        assert after == before
        usage = database.table("usage_daily", "local-project", DAYS[0], NIGHT)
        assert usage.groupby("day")["requests"].sum().to_dict() == {
            day: 6 if day == LATE else 5 for day in DAYS
        }


def pulls(database: Any) -> dict[date, pd.Timestamp]:
    """When the observations of each day were pulled last."""
    rows = database.table("pull", "local-project", DAYS[0], NIGHT, source="observations")
    return dict(zip(rows["day"], rows["pulled_at"], strict=True))


def ended(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    over = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    return list(instance.get_runs(dg.RunsFilter(statuses=over)))


def wait_until(found: Any, folder: Path) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if found():
            return
        time.sleep(0.5)
    raise AssertionError((folder / "daemon.log").read_text()[-3000:])
