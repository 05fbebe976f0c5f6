"""Dagster's own UI over a finished night, in a real browser; one tick of schedule and sensor."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assets import GROUPS
from tests.browser import browser
from tests.conftest import ROOT
from tests.test_night import llmops

pytestmark = pytest.mark.slow

_PATIENCE = 180  # seconds for Dagster's processes to come up on a busy machine


@dataclass(frozen=True)
class Ui:
    url: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """A GraphQL question, as the UI itself asks."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
            return data


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("ui") / "home"
    done = llmops(home, "demo", "--home", str(home), "--days", "2", "--end", "2026-10-31")
    assert done.returncode == 0, done.stdout + done.stderr
    port = _free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "dagster", "dev"),
            *("-h", "127.0.0.1", "-p", str(port), "-w", str(ROOT / "workspace.yaml")),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "DAGSTER_HOME": str(home / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "LLMOPS_HOME": str(home),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_default_signals,
    )
    opened = Ui(f"http://127.0.0.1:{port}")
    try:
        _wait_until_loaded(opened, server)
        yield opened
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_until_loaded(ui: Ui, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        assert server.poll() is None, f"dagster dev ended with {server.returncode}"
        try:
            if ui.ask("{ assetNodes { id } }")["assetNodes"]:
                return
        except OSError:
            pass
        time.sleep(1)
    pytest.fail(f"Dagster's UI did not answer within {_PATIENCE} s")


def test_the_graph_is_served_with_groups_descriptions_and_schedule(ui: Ui) -> None:
    nodes = ui.ask("{ assetNodes { assetKey { path } groupName description } }")["assetNodes"]
    assert {node["groupName"] for node in nodes} == set(GROUPS)
    assert all(node["description"] for node in nodes)
    location = ui.ask(
        "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } "
        "schedules { name scheduleState { status } } sensors { name sensorState { status } } "
        "} } } }"
    )["repositoriesOrError"]["nodes"][0]
    assert location["location"]["name"] == "llmops_jobs"
    running = {
        s["name"]: (s.get("scheduleState") or s.get("sensorState"))["status"]
        for s in [*location["schedules"], *location["sensors"]]
    }
    assert running["nightly_schedule"] == "RUNNING"
    assert running["deliver_alerts"] == "RUNNING"


def test_every_day_has_metadata_of_its_own(ui: Ui) -> None:
    query = """query($key: [String!]!) { assetNodeOrError(assetKey: {path: $key}) {
      ... on AssetNode { assetMaterializations(limit: 10) {
        partition metadataEntries { label ... on FloatMetadataEntry { floatValue }
                                          ... on IntMetadataEntry { intValue } } } } } }"""
    found = ui.ask(query, key=["usage_daily"])["assetNodeOrError"]["assetMaterializations"]
    assert {event["partition"] for event in found} == {"2026-10-30", "2026-10-31"}
    numbers = [
        json.dumps(sorted(map(str, event["metadataEntries"])))
        for event in sorted(found, key=lambda event: event["partition"])
    ]
    assert numbers[0] != numbers[1]


def test_a_person_sees_the_lineage_and_the_reports_metadata(ui: Ui, tmp_path: Path) -> None:
    pictures = ROOT / "test-output"
    pictures.mkdir(exist_ok=True)
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{ui.url}/asset-groups", wait_until="domcontentloaded")
        for group in GROUPS:
            page.get_by_text(group, exact=True).first.wait_for(timeout=60_000)
        page.screenshot(path=str(pictures / "dagster-lineage.png"))
        page.goto(f"{ui.url}/assets/report", wait_until="domcontentloaded")
        page.get_by_text("spend", exact=False).first.wait_for(timeout=60_000)
        page.screenshot(path=str(pictures / "dagster-report.png"))
