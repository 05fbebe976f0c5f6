"""A night that fails says why, and leaves no secret in what it says and keeps."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bench import faults

pytestmark = pytest.mark.slow

SECRET = "sk-lf-planted-wrong-41c7"
PASSWORD = "planted-password-90ee"


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> faults.Site:
    """Keys that the source refuses; then a database that is not there."""
    with faults.site(tmp_path_factory.mktemp("failing"), days=1, requests=20) as place:
        database = f"postgresql+psycopg2://someone:{PASSWORD}@127.0.0.1:9/nothing"
        place.environment["LANGFUSE_SECRET_KEY"] = SECRET
        for extra in ({}, {"LLMOPS_DATABASE_URL": database}):
            assert place.start(env=extra).wait(timeout=300) == 1
        return place


def test_each_failure_is_told_in_a_line(failed: faults.Site) -> None:
    said = (failed.home / "run.log").read_text(encoding="utf-8")
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("llmops: ")]
    assert len(lines) == 2, said
    assert "401" in lines[0]
    assert "127.0.0.1" in lines[1]


def test_no_planted_secret_is_in_anything_that_it_leaves(failed: faults.Site) -> None:
    pair = base64.b64encode(f"{failed.environment['LANGFUSE_PUBLIC_KEY']}:{SECRET}".encode())
    planted = [SECRET.encode(), PASSWORD.encode(), pair]
    files = [path for path in failed.home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)  # Dagster's record of the runs
    for path in files:
        content = Path(path).read_bytes()
        assert [word for word in planted if word in content] == [], path
