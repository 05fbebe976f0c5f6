"""A real Postgres for a test session: Debian's, started on loopback in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def available() -> str | None:
    """Why no server can be started here; None when one can."""
    if not sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        return "no Postgres server is installed (Debian: postgresql)"
    if os.getuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "Postgres does not run as root and there is no user postgres"
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Server:
    """A running server that trusts the user `postgres`."""

    address: str  # host:port
    control: list[str]
    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://postgres@{self.address}/{database}"

    def stop(self) -> None:
        """As a crash does."""
        self._do("-m", "immediate", "stop")

    def start(self) -> None:
        self._do("start")

    def restart(self) -> None:
        self.stop()
        self.start()

    def _do(self, *arguments: str) -> None:
        subprocess.run(
            [*self.control, *arguments], check=True, capture_output=True, cwd=self.folder
        )


@contextmanager
def server() -> Iterator[Server]:
    """A server in a folder of its own; stopped afterwards."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="llmops-postgres-"))
    # The server refuses to run as root.
    run: list[str] = []
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        run = ["runuser", "-u", "postgres", "--"]
    data, port = folder / "data", _free_port()
    subprocess.run(
        [*run, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    control = [*run, str(programs / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w"]
    running = Server(f"127.0.0.1:{port}", [*control, "-o", options], folder)
    subprocess.run([*running.control, "start"], check=True, capture_output=True, cwd=folder)
    try:
        yield running
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """`host:port` of a server for a test; skips the test where none can be had."""
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with server() as running:
        yield running.address
