"""What `deploy/` ships can be read by the programs it is for, as far as they are here."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from llmops_jobs.config import load
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.conftest import ROOT
from tests.facts import facts

DEPLOY = ROOT / "deploy"
DAY = date(2026, 3, 4)


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda p: p.name)
def test_every_yaml_file_is_a_mapping(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_the_files_that_the_image_copies_exist() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copies = re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.M)
    sources = [source for line in copies for source in line.split()[:-1]]
    assert len(sources) >= 6
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_does_not_run_as_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith("FROM "))
    assert [line for line in lines[last:] if line.startswith("USER ")] == ["USER llmops"]


def test_compose_publishes_the_ui_on_loopback_only_and_mounts_what_exists() -> None:
    services = read("compose.yaml")["services"]
    assert set(services) == {"postgres", "code", "daemon", "webserver"}
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:3000:3000"]
    for service in services.values():
        for mount in service["volumes"]:
            if mount.startswith("./"):
                assert (DEPLOY / mount.split(":")[0]).exists(), mount


def test_compose_holds_no_secret_and_refuses_an_empty_one() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    for name in ("POSTGRES_PASSWORD", "LANGFUSE_SECRET_KEY"):
        assert f"${{{name}:?}}" in text
        assert f"{name}=\n" in (DEPLOY / "example.env").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker command")
def test_docker_compose_understands_the_file() -> None:
    names = ("POSTGRES_PASSWORD", "LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker has no compose")
    done = subprocess.run(
        ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(names, "x")},
    )
    assert done.returncode == 0, done.stderr


def test_the_configuration_that_is_shipped_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load({"LLMOPS_CONFIG": str(DEPLOY / "etc" / "llmops.yaml")}).projects


def test_systemd_units_are_confined_and_name_real_modules() -> None:
    units = sorted((DEPLOY / "systemd").glob("*.service"))
    assert len(units) == 4
    for path in units:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment]
        unit.read(path)
        assert unit["Service"]["User"] == "llmops", path.name
        assert unit["Service"]["NoNewPrivileges"] == "true", path.name
        assert "0.0.0.0" not in unit["Service"]["ExecStart"], path.name


def test_the_kubernetes_values_run_each_run_as_a_job_without_root() -> None:
    values = read("kubernetes/values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    assert deployment["securityContext"]["runAsNonRoot"] is True
    assert deployment["codeServerArgs"] == ["-m", "llmops_jobs.definitions"]


@pytest.mark.slow
def test_dagster_starts_on_the_instance_that_is_shipped(
    tmp_path: Path, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    url = f"postgresql+psycopg2://postgres@{postgres_server}/postgres"
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        assert instance.get_runs() == []
        assert "postgres" in type(instance.event_log_storage).__module__


@pytest.mark.slow
def test_readers_of_the_marts_can_read_and_nothing_else() -> None:
    from tests.postgres import available, server

    if (reason := available()) is not None:
        pytest.skip(reason)
    with server() as running:
        admin = sa.create_engine(running.url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql("CREATE ROLE llmops LOGIN SUPERUSER")
            connection.exec_driver_sql("CREATE DATABASE llmops OWNER llmops")
        owner = running.url("llmops").replace("postgres@", "llmops@")
        early = Database(owner)
        early.create()
        as_owner = sa.create_engine(owner, isolation_level="AUTOCOMMIT")
        script = (DEPLOY / "postgres-init.sql").read_text(encoding="utf-8")
        code = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
        with as_owner.connect() as connection:
            for statement in filter(str.strip, code.split(";")):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("CREATE ROLE alice LOGIN IN ROLE llmops_reader")
            connection.exec_driver_sql("CREATE TABLE made_later (x int)")
        alice = sa.create_engine(owner.replace("llmops@", "alice@"))
        for table in ("usage_daily", "heartbeat", "made_later"):
            with alice.connect() as connection:
                assert connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar() == 0
        for refused in (
            "INSERT INTO heartbeat (name, detail) VALUES ('x', 'y')",
            "DELETE FROM usage_daily",
            "CREATE TABLE mine (x int)",
            "DROP TABLE made_later",
        ):
            with alice.connect() as connection, pytest.raises(sa.exc.ProgrammingError) as error:
                connection.exec_driver_sql(refused)
            assert "permission denied" in str(error.value) or "must be owner" in str(error.value)
        for engine in (admin, as_owner, alice, early.engine):
            engine.dispose()


def run_backup(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(DEPLOY / "backup.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=environment["LLMOPS_HOME"],
    )


@pytest.mark.parametrize(
    "kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)], ids=str
)
def test_what_was_backed_up_comes_back_after_a_disaster(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    environment = {"LLMOPS_HOME": str(home), "LLMOPS_CONFIG": str(DEPLOY / "etc" / "llmops.yaml")}
    url = f"sqlite:///{home}/llmops.db"
    if kind == "postgres":
        server = request.getfixturevalue("postgres_server")
        admin = sa.create_engine(f"postgresql+psycopg2://postgres@{server}/postgres")
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("CREATE DATABASE saved"))
        admin.dispose()
        url = f"postgresql+psycopg2://postgres@{server}/saved"
        environment["LLMOPS_DATABASE_URL"] = url
    home.mkdir()
    database, lake = Database(url), Lake(str(home / "lake"))
    database.create()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO heartbeat (name, detail) VALUES ('kept', 'before')")
    lake.replace_day("observations", "a/../b", DAY, facts("observations", [{}, {"trace_id": "x"}]))
    saved = run_backup(environment, "backup", str(tmp_path / "backups"))
    assert saved.returncode == 0, saved.stderr

    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM heartbeat")
    database.engine.dispose()
    shutil.rmtree(home / "lake")
    back = run_backup(environment, "restore", saved.stdout.strip())
    assert back.returncode == 0, back.stderr

    assert Database(url).table("heartbeat")["name"].tolist() == ["kept"]
    assert Lake(str(home / "lake")).read_day("observations", "a/../b", DAY).num_rows == 2


def test_an_unfinished_backup_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01T000000Z.part").mkdir()
    done = run_backup(
        {"LLMOPS_HOME": str(tmp_path)}, "restore", str(tmp_path / "2026-01-01T000000Z.part")
    )
    assert done.returncode == 1
    assert "no finished backup" in done.stderr


def pins(name: str) -> dict[str, str]:
    """Package -> its pin with every hash."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    found = re.split(r"(?m)^(?=[A-Za-z0-9])", text)
    return {re.split(r"[ =;]", pin)[0]: pin.strip() for pin in found if "==" in pin}


def test_the_image_installs_nothing_without_a_hash() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"^RUN .*pip install (.*)$", text, flags=re.M)
    assert len(installs) == 3
    for options in installs:
        assert "--no-deps" in options
        assert "--require-hashes" in options or "--no-index dist/" in options, options
    build, dev = pins("build.txt"), pins("dev.txt")
    assert "hatchling" in build
    assert {name: pin for name, pin in build.items() if dev.get(name) != pin} == {}
    assert all("--hash=sha256:" in pin for pin in build.values())


def test_the_build_context_holds_what_the_image_needs_and_no_secrets() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copies = re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.M)
    sources = {source for line in copies for source in line.split()[:-1]}
    assert "*" in rules
    assert {s for s in sources if not any(s == i or s.startswith(f"{i}/") for i in let_in)} == set()
    assert not any("env" in path or path == "deploy" for path in let_in)


@pytest.mark.parametrize(("options", "warns"), [([], False), (["--host", "0.0.0.0"], True)])
def test_the_ui_listens_on_loopback_and_warns_of_anything_else(
    options: list[str], warns: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from llmops_jobs.cli import llmops, up

    started: list[list[str]] = []

    class Server:
        def __init__(self, command: list[str], **_: Any) -> None:
            started.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(up.subprocess, "Popen", Server)
    done = CliRunner().invoke(llmops, ["up", *options])
    assert done.exit_code == 0, done.output
    (command,) = started
    host = command[command.index("-h") + 1]
    assert (host == "127.0.0.1") is not warns
    assert ("has no login" in done.stderr) is warns


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A root folder with the units, the programs they start, and the host's own units."""
    if shutil.which("systemd-analyze") is None or not Path("/lib/systemd/system").is_dir():
        pytest.skip("there is no systemd here")
    units = tmp_path / "etc" / "systemd" / "system"
    shutil.copytree("/lib/systemd/system", units, symlinks=True)
    for path in (DEPLOY / "systemd").iterdir():
        shutil.copy(path, units)
        for program in re.findall(r"^ExecStart=(\S+)", path.read_text("utf-8"), flags=re.M):
            file = tmp_path / program.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("#!/bin/sh\n", encoding="utf-8")
            file.chmod(0o755)
    return tmp_path


def test_systemd_takes_the_units_and_finds_them_well_confined(host: Path) -> None:
    analyze = ["systemd-analyze", f"--root={host}"]
    for path in sorted((DEPLOY / "systemd").iterdir()):
        verify = [*analyze, "verify", "--man=no", "--recursive-errors=no", path.name]
        done = subprocess.run(verify, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), path.name
        if path.suffix == ".service":  # 100 is a service that nothing confines
            exposed = [*analyze, "security", "--offline=true", "--threshold=25", path.name]
            done = subprocess.run(exposed, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout
