"""`llmops metrics`: figures of the pipeline itself, for a collector."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that is replaced at once, for a textfile collector; without it, to the terminal.",
)
@click.option("--otlp", is_flag=True, help="Send them to OTEL_EXPORTER_OTLP_ENDPOINT instead.")
def command(out: Path | None, otlp: bool) -> None:
    """Rows, pages, seconds, retries, queues and freshness, as OpenMetrics text."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.launch import open_instance
    from llmops_jobs.metrics import of_lake, of_marts, of_runs, send, text, write

    home = Deployment.from_environment()
    figures = [*of_marts(home.database, datetime.now(UTC)), *of_lake(home.lake)]
    with open_instance() as instance:
        figures += of_runs(instance)
    if otlp:
        send(figures)
    elif out is None:
        click.echo(text(figures), nl=False)
    else:
        write(out, text(figures))
