from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg

from llmops_jobs.alive import bury_dead
from llmops_jobs.launch import open_instance


def test_first_commands_started_at_once_leave_an_instance_that_opens_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for instance in list(pool.map(open_instance, [tmp_path] * 8)):
            instance.dispose()
    with open_instance(tmp_path) as again:
        assert again.get_runs() == []


def test_a_killed_command_leaves_its_place_in_the_pool_to_the_next(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from llmops_jobs import alive, launch\n"
        "instance = launch.open_instance(Path(sys.argv[1]))\n"
        "with alive.tagged(instance) as tag:\n"
        "    from llmops_jobs.definitions import defs\n"
        "    job = defs.resolve_job_def('nightly')\n"
        "    run = instance.create_run_for_job(job, tags=tag)\n"
        "    from dagster._core.events import DagsterEvent, DagsterEventType\n"
        "    began = DagsterEvent(DagsterEventType.RUN_START.value, 'nightly')\n"
        "    instance.report_dagster_event(began, run.run_id)\n"
        "    instance.event_log_storage.set_concurrency_slots('langfuse', 1)\n"
        "    claim = instance.event_log_storage.claim_concurrency_slot\n"
        "    assert claim('langfuse', run.run_id, 'observations').is_claimed\n"
        "    print(run.run_id, flush=True)\n"
        "    if sys.argv[2] == 'killed': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    sys.stdin.read()\n"
    )

    def command(how: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with command("killed") as killed:
        assert killed.stdout is not None
        gone = killed.stdout.readline().strip()
        killed.wait(60)
    with open_instance(tmp_path) as instance:
        assert bury_dead(instance) == [gone]
        run = instance.get_run_by_id(gone)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
    with command("living") as living, open_instance(tmp_path) as instance:
        assert living.stdout is not None
        assert living.stdout.readline().strip()  # it had the place in the pool
        assert bury_dead(instance) == []
        living.kill()
