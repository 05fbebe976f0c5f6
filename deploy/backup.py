"""Copies the marts and the lake to a folder, and back.

    python deploy/backup.py backup FOLDER              writes FOLDER/<instant>, prints it
    python deploy/backup.py restore FOLDER/<instant>   replaces what is there; stop the daemon first

Reads LLMOPS_HOME, LLMOPS_DATABASE_URL (SQLite or Postgres, by pg_dump and pg_restore) and
LLMOPS_LAKE_URL as the job does. A lake on an object store is left to the store's own versioning.
May run while the job runs: the copy is one state of the database, and of each lake table.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from llmops_jobs.config import load


def backup(folder: Path) -> Path:
    """Writes a new folder, which has its name only once it is whole."""
    settings = load()
    instant = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    part, whole = folder / f"{instant}.part", folder / instant
    part.mkdir(parents=True)
    url = sa.make_url(settings.database_url)
    # The marts first: what the lake has beyond them is computed again by a run.
    if url.get_backend_name() == "sqlite":
        _copy_sqlite(Path(str(url.database)), part / "llmops.db")
    else:
        _postgres(url, "pg_dump", "--format=custom", f"--file={part / 'llmops.dump'}")
    if _is_local(settings.lake_url):
        _copy_lake(Path(settings.lake_url), part / "lake")
    else:
        print("the lake is on an object store: not copied", file=sys.stderr)
    part.rename(whole)
    return whole


def restore(copy: Path) -> None:
    """Puts a backup in the place of what the settings point at."""
    settings = load()
    url = sa.make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        target = Path(str(url.database))
        target.parent.mkdir(parents=True, exist_ok=True)
        for name in ("", "-wal", "-shm"):
            Path(f"{target}{name}").unlink(missing_ok=True)
        _copy_sqlite(copy / "llmops.db", target)
    else:
        options = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
        _postgres(url, "pg_restore", *options, f"--dbname={url.database}", copy / "llmops.dump")
    if (copy / "lake").exists() and _is_local(settings.lake_url):
        lake = Path(settings.lake_url)
        restored = lake.with_name(lake.name + ".restored")
        shutil.rmtree(restored, ignore_errors=True)
        shutil.copytree(copy / "lake", restored)
        shutil.rmtree(lake, ignore_errors=True)
        restored.rename(lake)


def _copy_sqlite(source: Path, target: Path) -> None:
    """SQLite's own online backup: one state, even while the job writes."""
    if not source.exists():
        raise SystemExit(f"backup: there is no database {source}")
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
        (answer,) = written.execute("PRAGMA integrity_check").fetchone()
    if answer != "ok":
        raise SystemExit(f"backup: the copy {target} is damaged: {answer}")


def _copy_lake(lake: Path, target: Path) -> None:
    """Each table's log, then its files: these never change, and those that the log names stay for
    a day after they were replaced. Files that the log does not know yet are harmless."""
    target.mkdir()
    for table in sorted(path.parent for path in lake.glob("*/_delta_log")):
        copied = target / table.name
        shutil.copytree(table / "_delta_log", copied / "_delta_log")
        shutil.copytree(
            table, copied, ignore=shutil.ignore_patterns("_delta_log"), dirs_exist_ok=True
        )


def _postgres(url: sa.URL, program: str, *arguments: str | Path) -> None:
    # In the environment, where `ps` does not show the password.
    known: Mapping[str, object] = {
        "PGHOST": url.host,
        "PGPORT": url.port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    environment = {name: str(value) for name, value in known.items() if value is not None}
    subprocess.run([program, *arguments], check=True, env={**os.environ, **environment})


def _is_local(url: str) -> bool:
    return "://" not in url


def main(arguments: list[str]) -> int:
    match arguments:
        case ["backup", folder]:
            print(backup(Path(folder)))
        case ["restore", copy] if Path(copy).is_dir() and not copy.endswith(".part"):
            restore(Path(copy))
        case ["restore", copy]:
            print(f"backup: {copy} is no finished backup", file=sys.stderr)
            return 1
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
