"""What is wrong with this installation, in the order in which one would fix it.

Each check answers with a status, what was found, and what to do; none of them raises. A check that
needs an earlier one (the database, say) is skipped when that failed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from llmops_jobs.config import Settings, load
from llmops_jobs.days import yesterday
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import ConfigError, UserError

Status = Literal["ok", "warning", "error", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One check's answer; `todo` is '' when there is nothing to do."""

    name: str
    status: Status
    found: str
    todo: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def examine() -> list[Finding]:
    """Every check, in order."""
    try:
        settings = load()
    except ConfigError as error:
        return [Finding("configuration", "error", str(error), "correct the file or variable")]
    deployment = Deployment(settings)
    findings = [_configuration(settings), _guarded("channels", lambda: _channels(settings))]
    database = _guarded("database", lambda: _database(deployment))
    findings += [database, _guarded("lake", lambda: _lake(deployment))]
    findings.append(_guarded("prices", lambda: _prices(deployment, database.status == "ok")))
    findings += list(_langfuse(deployment, database.status == "ok"))
    if database.status == "ok":
        findings += [
            _guarded("freshness", lambda: _freshness(deployment)),
            _guarded("delivery", lambda: _delivery(deployment)),
        ]
    return findings


def healthy(findings: list[Finding]) -> bool:
    return all(finding.status != "error" for finding in findings)


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except UserError as error:
        return Finding(name, "error", str(error), "see the message")
    except Exception as error:  # a doctor must not die of what it finds
        return Finding(name, "error", f"{type(error).__name__}: {_first_line(error)}", "see logs")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]


def _configuration(settings: Settings) -> Finding:
    file = Path(os.environ.get("LLMOPS_CONFIG") or "llmops.yaml")
    where = str(file) if file.exists() else "defaults (no llmops.yaml)"
    projects = len(settings.projects)
    return Finding(
        "configuration", "ok", f"{where}; {projects} project{'s' if projects != 1 else ''}"
    )


def _database(deployment: Deployment) -> Finding:
    database = deployment.database
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    return Finding("database", "ok", database.url)


def _lake(deployment: Deployment) -> Finding:
    lake = deployment.lake
    if "://" not in lake.url:
        folder = Path(lake.url)
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return Finding("lake", "error", f"{folder} cannot be written", "change its permissions")
    tables = [name for name in ("observations", "scores") if lake.exists(name)]
    return Finding("lake", "ok", f"{lake.url}: {', '.join(tables) or 'empty'}")


def _prices(deployment: Deployment, readable: bool) -> Finding:
    from llmops_jobs.ledger.book import load_book
    from llmops_jobs.ledger.checks import days_priced_otherwise

    book = load_book(deployment.settings.ledger)
    found = f"price book {book.hash}, {len(book.overrides)} own entries"
    projects = deployment.database.table("project")["project_id"] if readable else ()
    stale = sorted({day for each in projects for day in days_priced_otherwise(deployment, each)})
    if stale:
        span = f"{stale[0]} to {stale[-1]}"
        return Finding(
            "prices",
            "warning",
            f"{found}; {len(stale)} days ({span}) were priced with another one",
            f"llmops run --from {stale[0]} --to {stale[-1]} --select 'costs*' if it matters",
        )
    return Finding("prices", "ok", found)


def _langfuse(deployment: Deployment, reachable: bool) -> Iterator[Finding]:
    from llmops_jobs.langfuse.client import probe
    from llmops_jobs.langfuse.project import keys_of

    for project in deployment.settings.projects:
        name = f"langfuse:{project.name}"
        try:
            keys = keys_of(project)
            found = probe(keys)
        except UserError as error:
            yield Finding(name, "error", str(error), "correct address or keys")
            continue
        yield Finding(name, "ok", f"{keys.base_url}: {found}")


def _freshness(deployment: Deployment) -> Finding:
    pulls = deployment.database.read(
        "SELECT MAX(day) AS newest FROM pull WHERE source = 'observations'"
    )
    newest = pulls["newest"].iloc[0]
    if newest is None:
        return Finding(
            "freshness", "warning", "no day was pulled yet", "llmops run --from … --to …"
        )
    newest_day = datetime.fromisoformat(str(newest)).date()
    behind = (yesterday() - newest_day).days
    # Yesterday is complete only once the night's run is over.
    late = behind > 1 or (behind == 1 and datetime.now(UTC).hour >= 6)
    if late:
        return Finding(
            "freshness",
            "error",
            f"newest day is {newest_day}, {behind} days behind yesterday",
            f"llmops run --from {newest_day} --to yesterday, and look whether the schedule runs",
        )
    return Finding("freshness", "ok", f"newest day is {newest_day}")


def _channels(settings: Settings) -> Finding:
    from llmops_jobs.alerts.checks import described, problems

    found = problems(settings.alerts)
    if found:
        return Finding("channels", "error", "; ".join(found), "set them, then llmops alerts test")
    only_log = all(channel.kind == "log" for channel in settings.alerts.channels)
    return Finding(
        "channels",
        "warning" if only_log and settings.alerts.enabled else "ok",
        described(settings.alerts),
        "name a channel under `alerts:` so that somebody is told" if only_log else "",
    )


def _delivery(deployment: Deployment) -> Finding:
    waiting: Any = deployment.database.read(
        "SELECT status, COUNT(*) AS n FROM notification GROUP BY status"
    )
    by_status = dict(zip(waiting["status"], waiting["n"], strict=True))
    dead = int(by_status.get("dead", 0))
    counts = ", ".join(f"{n} {status}" for status, n in sorted(by_status.items())) or "none yet"
    if dead:
        return Finding(
            "delivery",
            "error",
            counts,
            "llmops alerts list --dead; correct the channel; llmops alerts list --dead --retry",
        )
    return Finding("delivery", "ok", f"messages: {counts}")
