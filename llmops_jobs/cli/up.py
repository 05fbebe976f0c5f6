"""`llmops up`: Dagster's own UI over this project, with the demo's Langfuse where it is used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
def command(host: str, port: int) -> None:
    """The Dagster UI. After `llmops demo` the stand-in Langfuse is started beside it, so that
    partitions can be run again from the UI."""
    from llmops_jobs.demo.night import stand_in_environment

    if host not in ("127.0.0.1", "localhost", "::1"):
        click.echo(f"llmops: {host} is reachable by others, and the UI has no login", err=True)
    with stand_in_environment() as environment:
        click.echo(f"Dagster UI: http://{host}:{port} (stop with Ctrl-C)")
        # A child of its own, with default signals: Dagster copies the handlers that it finds, and
        # would ignore both Ctrl-C and SIGTERM when started from a script.
        server = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "-h", host, "-p", str(port)],
            env={**os.environ, **environment, "PYTHONWARNINGS": "ignore"},
            preexec_fn=_default_signals,
        )
        try:
            sys.exit(server.wait())
        except KeyboardInterrupt:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
