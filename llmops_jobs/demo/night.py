"""The demo's Langfuse as a process of its own, and the environment that points the job at it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from llmops_jobs.errors import UserError

# Fixed, so that links in yesterday's reports still lead somewhere tonight.
PORT = 3900
_START_SECONDS = 60


@dataclass(frozen=True)
class Demo:
    """What makes a demo's traffic: the same values give the same bytes."""

    home: str
    days: int
    seed: int
    end: str  # last day, ISO
    quiet: bool = False  # without the marked events

    @property
    def last_day(self) -> date:
        return date.fromisoformat(self.end)

    def remember(self) -> None:
        """Written under home, so that `llmops up` can start the same stand-in again."""
        path = Path(self.home) / "demo.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def remembered(home: Path) -> Demo | None:
    path = home / "demo.json"
    return Demo(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


@contextmanager
def stand_in(demo: Demo, *, port: int | None = None) -> Iterator[dict[str, str]]:
    """Runs the stand-in; yields the environment under which the job reads it.

    Without a port it listens on PORT or, where that is taken, on any free one. Raises UserError
    when it does not come up.
    """
    from llmops_jobs.demo.replay import Replay

    home = Path(demo.home).resolve()
    replay = Replay(demo.seed, demo.days, demo.last_day, with_events=not demo.quiet)
    replay.write_events(home / "events.json")
    config = replay.write_config(home)
    command = [sys.executable, "-m", "llmops_jobs.demo.server", "--home", str(home)]
    command += ["--days", str(demo.days), "--seed", str(demo.seed), "--end", demo.end]
    command += ["--quiet"] if demo.quiet else []
    server = subprocess.Popen(
        [*command, "--port", str(_port() if port is None else port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        keys = _first_line(server)
        yield {
            "LANGFUSE_BASE_URL": keys["url"],
            "LANGFUSE_PUBLIC_KEY": keys["public_key"],
            "LANGFUSE_SECRET_KEY": keys["secret_key"],
            "LLMOPS_HOME": str(home),
            "LLMOPS_CONFIG": str(config),
        }
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def stand_in_environment() -> Iterator[dict[str, str]]:
    """The stand-in of an earlier `llmops demo`, unless a real Langfuse is configured."""
    demo = remembered(Path(os.environ.get("LLMOPS_HOME", ".llmops")))
    if os.environ.get("LANGFUSE_BASE_URL") or demo is None:
        yield {}
        return
    with stand_in(demo) as environment:
        yield environment


def _port() -> int:
    """PORT when it is free; 0, any, when it is not."""
    with socket.socket() as probe:
        # As a server binds: a port that was just left is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def _first_line(server: subprocess.Popen[str]) -> dict[str, str]:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        server.wait(timeout=_START_SECONDS)
        raise UserError(
            f"the stand-in Langfuse did not start (exit {server.returncode}); its message is above"
        )
    answer: dict[str, str] = json.loads(line)
    return answer
