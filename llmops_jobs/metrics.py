"""Figures of the pipeline itself, for whoever watches it, as OpenMetrics text or by OTLP.

Read from the marts and from Dagster's record of its runs; nothing is counted in a process, so
nothing is lost with one.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_jobs.errors import UserError

if TYPE_CHECKING:
    import dagster as dg

    from llmops_jobs.lake import Lake
    from llmops_jobs.store import Database


@dataclass
class Gauge:
    """One figure with its meaning, by labels."""

    name: str
    help: str
    values: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    def set(self, value: Any, **labels: str) -> None:
        self.values[tuple(sorted(labels.items()))] = float(value)


def of_marts(database: Database, now: datetime) -> Iterator[Gauge]:
    """What was pulled last, what is missing, what waits to be told."""
    from llmops_jobs.alerts import outbox

    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
    newest = Gauge(
        "llmops_newest_day_age_seconds", "from the end of the newest pulled day to last midnight"
    )
    pulled = {
        name: Gauge(f"llmops_pull_{name}", f"{what} of the newest day's last pull")
        for name, what in (
            ("rows", "rows landed"),
            ("pages", "pages read"),
            ("bytes", "bytes read"),
            ("seconds", "seconds spent"),
            ("duplicates", "rows sent more than once"),
            ("late_rows", "rows written after the day was first pulled"),
            ("quarantined", "rows refused"),
        )
    }
    stale = Gauge("llmops_stale_days", "days whose copy is known to be out of date")
    pulls = database.table("pull")
    for (project, source), rows in pulls.groupby(["project_id", "source"]):
        labels = {"project": str(project), "source": str(source)}
        last = rows.loc[rows["day"].idxmax()]
        end = datetime(last["day"].year, last["day"].month, last["day"].day, tzinfo=UTC)
        newest.set((midnight - end - timedelta(days=1)).total_seconds(), **labels)
        stale.set(rows["stale"].astype(bool).sum(), **labels)
        for name, gauge in pulled.items():
            gauge.set(last[name] or 0, **labels)
    yield from (newest, *pulled.values(), stale)
    yield _counted(
        database,
        "SELECT project_id AS project, SUM(ABS(unexplained)) AS n FROM reconciliation GROUP BY 1",
        Gauge("llmops_unexplained_rows", "rows by which copy and source differ without a cause"),
    )
    yield _counted(
        database,
        "SELECT project_id AS project, severity, COUNT(*) AS n FROM incident "
        "WHERE resolved_at IS NULL GROUP BY 1, 2",
        Gauge("llmops_open_incidents", "incidents that are not resolved"),
    )
    queue = Gauge("llmops_messages", "messages of the outbox, by what they wait for")
    due, waiting, dead = outbox.counts(database, now)
    for state, count in (("due", due), ("waiting", waiting), ("dead", dead)):
        queue.set(count, state=state)
    yield queue
    beats = Gauge("llmops_heartbeat_age_seconds", "since a part that must stay alive was alive")
    for row in database.table("heartbeat").to_dict("records"):
        if isinstance(row["beat_at"], datetime):
            beats.set((now - row["beat_at"]).total_seconds(), part=str(row["name"]))
    yield beats


def of_lake(lake: Lake) -> Iterator[Gauge]:
    """How full the lake's file system is; nothing of an object store."""
    used = Gauge("llmops_lake_disk_used_ratio", "used share of the lake's file system")
    if lake.is_local:
        path = Path(lake.url)
        disk = shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists()))
        used.set(1 - disk.free / disk.total)
    yield used


def of_runs(instance: dg.DagsterInstance) -> Iterator[Gauge]:
    """The queue of runs, and how the last night went, step by step."""
    from dagster import DagsterRunStatus, RunsFilter

    waiting = Gauge("llmops_runs", "runs that have not ended, by status")
    for status in (DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED):
        count = instance.get_runs_count(RunsFilter(statuses=[status]))
        waiting.set(count, status=status.value.lower())
    yield waiting
    ended = instance.get_run_records(
        RunsFilter(
            job_name="nightly", statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
        ),
        limit=1,
    )
    success = Gauge("llmops_last_night_success", "1 when the last nightly run that ended succeeded")
    finished = Gauge("llmops_last_night_end_timestamp_seconds", "when it ended")
    seconds = Gauge("llmops_last_night_step_seconds", "what each of its steps took")
    retries = Gauge("llmops_last_night_step_attempts", "how often each of its steps was tried")
    for record in ended:
        success.set(record.dagster_run.status == DagsterRunStatus.SUCCESS)
        finished.set(record.end_time or 0)
        for step in instance.get_run_step_stats(record.dagster_run.run_id):
            if step.start_time and step.end_time:
                seconds.set(step.end_time - step.start_time, step=step.step_key)
                retries.set(step.attempts, step=step.step_key)
    yield from (success, finished, seconds, retries)


def _counted(database: Database, query: str, gauge: Gauge) -> Gauge:
    for row in database.read(query).to_dict("records"):
        value = row.pop("n")
        gauge.set(value or 0, **{str(name): str(text) for name, text in row.items()})
    return gauge


def text(gauges: Iterable[Gauge]) -> str:
    """In the OpenMetrics text format."""
    lines = []
    for gauge in gauges:
        lines += [f"# HELP {gauge.name} {gauge.help}", f"# TYPE {gauge.name} gauge"]
        for labels, value in sorted(gauge.values.items()):
            lines.append(f"{gauge.name}{_labels(dict(labels))} {value!r}")
    return "\n".join([*lines, "# EOF", ""])


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + inside + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def send(gauges: Iterable[Gauge]) -> None:
    """To an OpenTelemetry collector by OTLP over HTTP, under the same names; where it is, and with
    which headers, the exporter's own variables say (`OTEL_EXPORTER_OTLP_ENDPOINT`, …).

    Raises UserError when it did not take them.
    """
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
    from opentelemetry.sdk.resources import Resource

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # told once, in our own words
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=Resource.create({"service.name": "llmops-jobs"}))
    meter = provider.get_meter("llmops_jobs")
    for gauge in gauges:
        instrument = meter.create_gauge(gauge.name, description=gauge.help)
        for labels, value in gauge.values.items():
            instrument.set(value, dict(labels))
    data = reader.get_metrics_data()
    provider.shutdown()
    if data is None or OTLPMetricExporter().export(data) is not MetricExportResult.SUCCESS:
        raise UserError(
            "the collector did not take the figures: is OTEL_EXPORTER_OTLP_ENDPOINT (such as "
            "http://localhost:4318) its address, and do OTEL_EXPORTER_OTLP_HEADERS let us in?"
        )


def write(path: Path, content: str) -> None:
    """Whole or not at all: a collector may read at any instant."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        part.write_text(content, encoding="utf-8")
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
