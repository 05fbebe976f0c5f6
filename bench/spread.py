"""Ranges of days spread over run workers on one Postgres: as one worker's, in what time.

A queue, a daemon, a web server and run workers, each a process, over one Postgres instance.
`python -m bench spread` compares one worker with two. `python -m bench.spread --launcher ray`
hands the runs to a Ray cluster of this machine instead (needs dagster-ray and ray[default]).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click
import httpx
import sqlalchemy as sa

from bench import faults

_INSTANCE = """telemetry: {{enabled: false}}
nux: {{enabled: false}}
storage: {{postgres: {{postgres_url: {{env: DAGSTER_POSTGRES_URL}}}}}}
run_launcher: {launcher}
concurrency:
  runs: {{max_concurrent_runs: {workers}}}
  pools: {{granularity: op, default_limit: 1}}
run_monitoring: {{enabled: true}}
"""
LAUNCHERS = {
    "local": "{module: dagster, class: DefaultRunLauncher}",
    "ray": "{{module: dagster_ray, class: RayRunLauncher, config: {{ray: {{"
    'address: "{address}", num_cpus: 1}}}}}}',
}


def run() -> None:
    days = int(os.environ.get("LLMOPS_BENCH_DAYS", "8"))
    requests = int(os.environ.get("LLMOPS_BENCH_REQUESTS", "400"))
    with tempfile.TemporaryDirectory() as folder:
        differ, seconds = compare(Path(folder), days, requests)
    for stage in seconds[1]:
        one, two = seconds[1][stage], seconds[2][stage]
        print(f"   {stage:<10} one worker {one:6.1f} s, two {two:6.1f} s: {two / one:.2f}")
    print(f"   tables that differ from one run over the range: {len(differ)}")
    assert not differ, differ


def compare(
    folder: Path,
    days: int,
    requests: int,
    launcher: str = "local",
    workers: tuple[int, ...] = (1, 2),
) -> tuple[list[str], dict[int, dict[str, float]]]:
    """The differences from one run over the range, and the seconds by workers and stage."""
    from tests.postgres import postgres

    found, seconds = [], {}
    with postgres() as server, faults.site(folder, days=days, requests=requests) as undisturbed:
        undisturbed.finish()
        for many in workers:
            place = undisturbed.again(folder / f"workers-{many}")
            place.environment["LLMOPS_DATABASE_URL"] = _database(server, f"marts_{many}")
            place.environment["DAGSTER_POSTGRES_URL"] = _database(server, f"dagster_{many}")
            with dagster(place, many, launcher) as ui:
                seconds[many] = _backfill(place, ui, max(1, days // 4))
            found += [
                f"{many} workers: {line}"
                for line in faults.differences(undisturbed, place)
                if not line.startswith("heartbeat")  # of the daemon's sensors
            ]
    return found, seconds


def _backfill(place: faults.Site, ui: str, days_per_run: int) -> dict[str, float]:
    """`llmops backfill` as a process; the seconds that it says each stage took."""
    days = ["--from", str(place.first), "--to", str(place.last)]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "llmops_jobs",
            "backfill",
            *days,
            "--days-per-run",
            str(days_per_run),
            "--ui",
            ui,
        ],
        env=_environment(place),
        cwd=place.home,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    print(done.stdout, end="", flush=True)
    last = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    return {stage: float(took) for stage, took, _ in last}


@contextmanager
def dagster(place: faults.Site, workers: int, launcher: str) -> Iterator[str]:
    """A web server and a daemon over the place's stores; yields the UI's address."""
    folder = place.home / "dagster"
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        how = LAUNCHERS[launcher]
        if launcher == "ray":
            how = how.format(address=stack.enter_context(_ray(place, workers)))
        text = _INSTANCE.format(launcher=how, workers=workers)
        (folder / "dagster.yaml").write_text(text, encoding="utf-8")
        port = free_port()
        where = ["-m", "llmops_jobs.definitions", "-d", str(faults.ROOT)]
        web = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
        # The web server makes the instance's tables: the daemon comes after.
        stack.enter_context(_process(place, [*web, *where]))
        _until_up(f"http://127.0.0.1:{port}/server_info")
        stack.enter_context(
            _process(place, [sys.executable, "-m", "dagster._daemon", "run", *where])
        )
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _ray(place: faults.Site, workers: int) -> Iterator[str]:
    """A Ray head on loopback; yields the address that takes jobs."""
    port, jobs = free_port(), free_port()
    ray = str(Path(sys.executable).with_name("ray"))
    head = [ray, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"]
    head += ["--dashboard-host=127.0.0.1", f"--dashboard-port={jobs}", f"--num-cpus={workers}"]
    head += ["--disable-usage-stats", "--object-store-memory=100000000"]
    with _process(place, head):
        _until_up(f"http://127.0.0.1:{jobs}/api/version")
        yield f"http://127.0.0.1:{jobs}"


@contextmanager
def _process(place: faults.Site, command: list[str]) -> Iterator[None]:
    with (place.home / "services.log").open("ab") as log:
        started = subprocess.Popen(
            command,
            env=_environment(place),
            cwd=place.home,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            started.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                started.wait(timeout=20)
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def _environment(place: faults.Site) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LANGFUSE", "LLMOPS"))}
    return {
        **clean,
        # Ray's jobs call `dagster` by its name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{clean.get('PATH', '')}",
        "PYTHONPATH": str(faults.ROOT),
        "PYTHONWARNINGS": "ignore",
        "DAGSTER_HOME": str(place.home / "dagster"),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        **place.environment,
    }


def _database(server: str, name: str) -> str:
    admin = sa.create_engine(f"postgresql+psycopg2://postgres@{server}/postgres")
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return f"postgresql+psycopg2://postgres@{server}/{name}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_up(url: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            httpx.get(url, timeout=5).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


@click.command()
@click.option("--days", default=8, show_default=True)
@click.option("--requests", default=60, show_default=True, help="a day")
@click.option("--launcher", type=click.Choice(sorted(LAUNCHERS)), default="local")
@click.option("--workers", default=2, show_default=True)
@click.option("--home", type=click.Path(path_type=Path), help="kept; a temporary one when absent")
def main(days: int, requests: int, launcher: str, workers: int, home: Path | None) -> None:
    """Exit 1 when the marts differ from those of one run over the range."""
    folder = home or Path(tempfile.mkdtemp(prefix="llmops-spread-"))
    try:
        differ, _ = compare(folder, days, requests, launcher, (workers,))
    finally:
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
    for line in differ:
        print(line)
    print(f"{workers} workers by {launcher}: {len(differ)} differences")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
