"""Running the stand-in on loopback: in a thread for tests, in the foreground for a process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llmops_jobs.demo.server.source import Source
from llmops_jobs.demo.server.state import State


@dataclass(frozen=True)
class Running:
    """A stand-in that accepts connections."""

    url: str
    state: State

    @property
    def public_key(self) -> str:
        return self.state.public_key

    @property
    def secret_key(self) -> str:
        return self.state.secret_key

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a client at this server."""
        return {
            "LANGFUSE_BASE_URL": self.url,
            "LANGFUSE_PUBLIC_KEY": self.public_key,
            "LANGFUSE_SECRET_KEY": self.secret_key,
        }


def prepare(source: Source, things: dict[str, Any] | None = None, **options: Any) -> State:
    """A state with the given source; `options` are State's fields, `things` its own data."""
    from llmops_jobs.demo.server.defaults import default_things

    state = State(source, **options)
    state.things = {**default_things(state.project_id), **(things or {})}
    return state


@contextmanager
def running(
    source: Source, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[Running]:
    """The stand-in in a thread of this process, for as long as the block lasts."""
    import uvicorn

    state = prepare(source, **options)
    server, bound = _server(state, host, port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
            if not thread.is_alive() and not server.started:
                raise RuntimeError("the stand-in did not start")
        yield Running(f"http://{host}:{bound.getsockname()[1]}", state)
    finally:
        assert isinstance(server, uvicorn.Server)
        server.should_exit = True
        server.force_exit = True
        thread.join(10)
        bound.close()


def serve(
    source: Source,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[Running], None] | None = None,
    **options: Any,
) -> None:
    """The stand-in in the foreground until it is interrupted; `announce` is called once it
    accepts connections."""
    state = prepare(source, **options)
    server, bound = _server(state, host, port)
    if announce:  # the socket listens already: whoever connects now is served in a moment
        announce(Running(f"http://{host}:{bound.getsockname()[1]}", state))
    server.run(sockets=[bound])


def _server(state: State, host: str, port: int) -> tuple[Any, socket.socket]:
    import uvicorn

    from llmops_jobs.demo.server.app import build

    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen(128)
    config = uvicorn.Config(
        build(state),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=75,
        server_header=False,
    )
    return uvicorn.Server(config), bound
