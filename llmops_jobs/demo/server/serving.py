"""Running the stand-in on loopback: in a thread for tests, in the foreground for a process."""

from __future__ import annotations

import asyncio
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
    """A state with the given source; `options` are State's fields.

    things: data besides the traffic, by kind; the source's own `things()` when absent.
    """
    from llmops_jobs.demo.server.defaults import default_things

    state = State(source, **options)
    if things is None and hasattr(source, "things"):
        things = source.things()
    state.things = {**default_things(state.project_id), **(things or {})}
    return state


@contextmanager
def running(
    source: Source, *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[Running]:
    """The stand-in in a thread of this process, for as long as the block lasts."""
    state = prepare(source, **options)
    bound = _bind(host, port)
    server = _prompt_server(state)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.002)
            if not thread.is_alive() and not server.started:
                raise RuntimeError("the stand-in did not start")
        yield Running(f"http://{host}:{bound.getsockname()[1]}", state)
    finally:
        server.stop()
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
    import uvicorn

    state = prepare(source, **options)
    bound = _bind(host, port)
    if announce:  # the socket listens already: whoever connects now is served in a moment
        announce(Running(f"http://{host}:{bound.getsockname()[1]}", state))
    uvicorn.Server(_config(state)).run(sockets=[bound])


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen(128)
    return bound


def _config(state: State) -> Any:
    import uvicorn

    from llmops_jobs.demo.server.app import build

    return uvicorn.Config(
        build(state),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=75,
        server_header=False,
    )


def _prompt_server(state: State) -> Any:
    """A uvicorn server that ends when it is told to, not at its next tick: tests start hundreds."""
    import uvicorn

    class PromptServer(uvicorn.Server):
        def stop(self) -> None:
            self.loop.call_soon_threadsafe(self.ending.set)

        async def main_loop(self) -> None:
            await self.on_tick(0)
            await self.ending.wait()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            self.loop, self.ending = asyncio.get_running_loop(), asyncio.Event()
            await super().startup(sockets)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for listening in self.servers:
                listening.close()
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            for task in self.server_state.tasks:
                task.cancel()

    return PromptServer(_config(state))
