"""The stand-in as a process: `python -m llmops_jobs.demo.server --days 60`.

Prints one line of JSON with url, public_key and secret_key once it accepts connections.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="where generated days are kept")
@click.option("--days", default=60, show_default=True, help="days of traffic")
@click.option("--seed", default=7, show_default=True)
@click.option("--end", default=None, help="last day, YYYY-MM-DD; yesterday when absent")
@click.option("--quiet", is_flag=True, help="without the marked events")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 = a free one")
@click.option("--version", default="4.16.0", show_default=True, help="the version it claims")
@click.option(
    "--mode",
    type=click.Choice(["events_only", "v3", "ancient", "legacy_writes"]),
    default="events_only",
    show_default=True,
)
def main(
    home: Path | None,
    days: int,
    seed: int,
    end: str | None,
    quiet: bool,
    host: str,
    port: int,
    version: str,
    mode: str,
) -> None:
    """Serve the replayed traffic as a Langfuse."""
    from llmops_jobs.demo.server.serving import Running, serve
    from llmops_jobs.demo.server.spill import Spill

    def announce(running: Running) -> None:
        line = {
            "url": running.url,
            "public_key": running.public_key,
            "secret_key": running.secret_key,
        }
        click.echo(json.dumps(line))

    # An orderly end also when told to terminate, so that the days on disk are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    last = date.fromisoformat(end) if end else datetime.now(UTC).date() - timedelta(days=1)
    source = replay(seed=seed, days=days, end=last, with_events=not quiet)
    serve(
        source,
        host=host,
        port=port,
        announce=announce,
        version=version,
        mode=mode,
        spill=Spill(home),
        keep_days=5,  # one more than a reader has in hand; a day of the replay is 16 MB
    )


def replay(**options: Any) -> Any:
    from llmops_jobs.demo.replay import Replay

    return Replay(**options)


if __name__ == "__main__":
    main()
