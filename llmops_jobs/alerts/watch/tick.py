"""One look at every project: read, decide, record with its messages in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from llmops_jobs.alerts import record, silences
from llmops_jobs.alerts.causes import Overlap, alike, causes
from llmops_jobs.alerts.evidence import web_address
from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.alerts.watch.evidence import evidence
from llmops_jobs.alerts.watch.life import step
from llmops_jobs.alerts.watch.live import Live
from llmops_jobs.alerts.watch.looks import look
from llmops_jobs.alerts.watch.money import pace
from llmops_jobs.alerts.watch.rows import Rows, merged
from llmops_jobs.alerts.watch.usual import Usual, rules_of, usual_of
from llmops_jobs.errors import SourceError

if TYPE_CHECKING:
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.forecast.settings import Budget
    from llmops_jobs.langfuse.project import ProjectKeys
    from llmops_jobs.store import Database


@dataclass
class Watched:
    """What is kept of a project between looks."""

    live: Live
    usual: Usual | None = None
    day: date | None = None


@dataclass
class Watcher:
    """Looks at all projects of a deployment, again and again. Not safe across threads."""

    kept: dict[str, Watched] = field(default_factory=dict)

    def tick(self, deployment: Deployment, now: datetime) -> dict[str, str]:
        """Project -> what was seen, in words. A project that cannot be read just now says why."""
        said = {}
        for project in deployment.projects():
            try:
                said[project.name] = self._look(deployment, project, now)
            except SourceError as error:
                said[project.name] = f"not looked at: {error}"
        return said

    def close(self) -> None:
        for kept in self.kept.values():
            kept.live.close()
        self.kept.clear()

    def _look(self, deployment: Deployment, project: ProjectKeys, now: datetime) -> str:
        settings = deployment.settings.alerts
        kept = self.kept.get(project.id)
        if kept is None:
            live = Live(deployment, project, settings.watch.requests)
            kept = self.kept[project.id] = Watched(live)
        rows = kept.live.read(now)
        if kept.usual is None or kept.day != now.date():
            rules = rules_of(settings)
            kept.usual = usual_of(deployment.database, project.id, rules, now.date())
            kept.day = now.date()
        findings = findings_of(rows, settings, deployment.settings.budgets, kept.usual, now)
        told = decide(
            deployment.database, settings, project.id, rows, findings, now, project.base_url
        )
        firing = sum(finding.firing for finding in findings)
        return (
            f"{len(rows.calls):,} calls since {rows.since:%H:%M}, {len(findings)} looked at, "
            f"{firing} firing" + (f": {told}" if told else "")
        )


def findings_of(
    rows: Rows,
    settings: AlertSettings,
    budgets: Sequence[Budget],
    usual: Usual,
    now: datetime,
) -> list[Finding]:
    """Everything that is said of the rows at `now`."""
    whole = Rows(rows.calls, merged(rows.traces), rows.since)
    found = look(whole, rules_of(settings), settings.slos, usual, now)
    if settings.built_in and "budget-pace" not in settings.disable:
        found += pace(rows, budgets, now)
    return found


def overlap_of(rows: Rows) -> Overlap:
    """How the slices of these rows overlap."""
    return Overlap(lambda: rows.calls)


def decide(
    database: Database,
    settings: AlertSettings,
    project: str,
    rows: Rows,
    findings: Sequence[Finding],
    now: datetime,
    base_url: str = "",
) -> str:
    """Changes the project's incidents and queues what is to be told; says what changed."""
    overlap = overlap_of(rows)
    with database.engine.connect() as connection:
        begun = record.begun(connection, project)
    found = causes(findings, overlap, now.date(), begun)
    quiet = silences.active(database, now)
    with record.exclusive(
        database, project, now, now.date(), name=f"watch:{project}"
    ) as connection:
        changed, events = step(
            record.latest(connection, project),
            found,
            findings,
            now.date(),
            same=functools.partial(alike, overlap=overlap),
            hidden=lambda finding: silences.hides(quiet, finding),
        )
        children = {c.root.fingerprint: [f.summary for f in c.children] for c in found}
        address = web_address(base_url)
        extra = {
            item.dedup_key: evidence(rows, item.finding, project, address)
            | {"also": children.get(item.finding.fingerprint, [])[:10]}
            for item in changed
            if item.live
        }
        for item in changed:  # an end keeps what was found at the beginning
            extra.setdefault(item.dedup_key, record.evidence_in(item.finding.detail))
        record.write(database, connection, project, changed, events, settings, now=now, extra=extra)
    return "; ".join(f"{event.kind} {event.incident.finding.summary}" for event in events)
