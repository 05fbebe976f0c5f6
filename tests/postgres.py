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
from pathlib import Path

import pytest


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("no Postgres server is installed (Debian: postgresql)")
    return found[-1].parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def postgres() -> Iterator[str]:
    """Yields `host:port` of a server that trusts the user `postgres`; stops it afterwards."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="llmops-postgres-"))
    # The server refuses to run as root.
    run: list[str] = []
    if os.getuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("Postgres does not run as root and there is no user postgres")
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
    control = [*run, programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w"]
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True, cwd=folder)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], capture_output=True, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)
