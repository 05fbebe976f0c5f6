"""What whoever runs the pipeline sees of it: log lines, figures, and what it is made of."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from llmops_jobs import logs, metrics
from llmops_jobs.cli import llmops
from llmops_jobs.errors import ConfigError, UserError
from llmops_jobs.launch import open_instance
from llmops_jobs.store import Database
from tests.conftest import ROOT

NOW = datetime(2026, 3, 5, 9, tzinfo=UTC)
LINE = re.compile(r'^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+]+$')


def test_a_json_line_holds_the_message_the_run_and_the_error() -> None:
    record = logging.LogRecord("llmops_jobs.x", logging.WARNING, __file__, 1, "%d rows", (3,), None)
    record.dagster_meta = {"run_id": "r1", "step_key": "costs", "orig_message": "3 rows"}
    try:
        raise ValueError("broken\nin two lines")
    except ValueError:
        record.exc_info = sys.exc_info()
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["message"], line["run_id"]) == ("warning", "3 rows", "r1")
    assert "ValueError: broken" in line["error"]
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)


def test_an_unknown_log_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="text and json"):
        logs.configure({"LLMOPS_LOG_FORMAT": "xml"})


def test_commands_write_json_lines_where_they_are_asked_to(tmp_path: Path) -> None:
    code = (
        "import logging; from llmops_jobs import logs; logs.configure();"
        "logging.getLogger('llmops_jobs.lake.check').warning('a day is lost')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"LLMOPS_LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stderr)["message"] == "a day is lost"


def test_dagster_is_told_to_write_json_lines_with_our_formatter(tmp_path: Path) -> None:
    import yaml

    shipped = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text(encoding="utf-8"))
    file = tmp_path / "dagster" / "dagster.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump({"python_logs": shipped["python_logs"]}), encoding="utf-8")
    with open_instance(tmp_path) as instance:
        (handler,) = instance.get_handlers()[1:] or instance.get_handlers()
    assert isinstance(handler.formatter, logs.JsonFormatter)


@pytest.fixture
def pulled(database: Database) -> Database:
    rows = [
        {
            "project_id": 'a "b"',
            "source": "observations",
            "day": date(2026, 3, 1) + timedelta(days=back),
            "rows": 10 + back,
            "pages": 2,
            "bytes": 100,
            "seconds": 0.5,
            "stale": back == 0,
            "content_hash": "x",
            "first_pulled_at": NOW,
            "pulled_at": NOW,
        }
        for back in range(3)
    ]
    database.upsert("pull", pd.DataFrame(rows))
    database.upsert(
        "heartbeat",
        pd.DataFrame([{"name": "alerts", "beat_at": NOW - timedelta(seconds=60), "detail": ""}]),
    )
    return database


def test_figures_say_what_was_pulled_what_is_late_and_what_waits(pulled: Database) -> None:
    told = metrics.text(metrics.of_marts(pulled, NOW))
    lines = told.splitlines()
    assert lines[-1] == "# EOF"
    assert all(LINE.match(line.replace('\\"', "")) for line in lines if not line.startswith("#"))
    of = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    labels = '{project="a \\"b\\"",source="observations"}'
    assert of[f"llmops_pull_rows{labels}"] == "12.0"
    assert of[f"llmops_stale_days{labels}"] == "1.0"
    # The third is in, the fourth is over and is not.
    assert of[f"llmops_newest_day_age_seconds{labels}"] == "86400.0"
    assert of['llmops_heartbeat_age_seconds{part="alerts"}'] == "60.0"
    assert of['llmops_messages{state="dead"}'] == "0.0"


def test_figures_of_a_night_name_its_steps(tmp_path: Path) -> None:
    @dg.op
    def slow() -> None: ...

    @dg.job(name="nightly")
    def job() -> None:
        slow()

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with open_instance(tmp_path) as instance:
        job.execute_in_process(instance=instance, run_config=quiet)
        told = metrics.text(metrics.of_runs(instance))
    assert "llmops_last_night_success 1.0" in told
    assert re.search(r'llmops_last_night_step_seconds\{step="slow"\} 0\.', told)
    assert 'llmops_last_night_step_attempts{step="slow"} 1.0' in told
    assert 'llmops_runs{status="queued"} 0.0' in told


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Takes what an OpenTelemetry collector would; refuses on any other path."""
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.path == "/v1/metrics"
            taken.extend([body] if known else [])
            self.send_response(200 if known else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()


def test_figures_reach_a_collector_under_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: tuple[str, list[bytes]]
) -> None:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    url, taken = collector
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    done = CliRunner().invoke(llmops, ["metrics", "--otlp"])
    assert done.exit_code == 0, done.output
    (body,) = taken
    (resource,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    service = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert service["service.name"] == "llmops-jobs"
    (scope,) = resource.scope_metrics
    points = {metric.name: metric.gauge.data_points for metric in scope.metrics}
    (dead,) = [
        point.as_double
        for point in points["llmops_messages"]
        if any(label.value.string_value == "dead" for label in point.attributes)
    ]
    assert dead == 0
    assert 0 < points["llmops_lake_disk_used_ratio"][0].as_double < 1


def test_a_collector_that_refuses_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, collector: tuple[str, list[bytes]]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{collector[0]}/elsewhere")
    gauge = metrics.Gauge("llmops_x", "")
    gauge.set(1)
    with pytest.raises(UserError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        metrics.send([gauge])


def test_a_file_of_figures_is_replaced_at_once(tmp_path: Path) -> None:
    file = tmp_path / "llmops.prom"
    metrics.write(file, "one\n")
    metrics.write(file, "two\n")
    assert file.read_text() == "two\n"
    assert [path.name for path in tmp_path.iterdir()] == ["llmops.prom"]


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "deploy" / "sbom.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sbom"] = module
    spec.loader.exec_module(module)
    return module


def test_the_bill_of_materials_names_every_pin_with_its_hashes(sbom: ModuleType) -> None:
    bill = sbom.bill(sbom.packages())
    pins = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    assert len(bill["components"]) == len(re.findall(r"^[A-Za-z0-9]\S*==", pins, flags=re.M))
    assert all(component["hashes"] for component in bill["components"])
    assert sum(len(component["hashes"]) for component in bill["components"]) == pins.count("--hash")
    assert {"dagster", "psycopg2-binary", "s3fs"} <= {c["name"] for c in bill["components"]}
    assert bill == sbom.bill(sbom.packages())  # the same bytes again


def test_every_package_that_is_installed_has_a_licence_that_may_be_shipped(
    sbom: ModuleType,
) -> None:
    allowed = re.compile(r"MIT|Apache|BSD|PSF|Python Software|ISC|MPL|Mozilla|Lesser General|0BSD")
    told = {package.name: package.licence for package in sbom.packages()}
    installed = {name: text for name, text in told.items() if text != sbom.UNKNOWN}
    assert len(installed) > 100
    assert {name: text for name, text in installed.items() if not allowed.search(text)} == {}


def test_pins_of_the_image_include_those_that_are_tested() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+)", text, flags=re.M))

    image, run = pins("image.txt"), pins("run.txt")
    assert {name: (version, image.get(name)) for name, version in run.items()
            if image.get(name) != version} == {}  # fmt: skip
