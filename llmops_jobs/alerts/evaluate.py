"""One night: rules to findings, findings to causes, causes to incidents and queued messages."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmops_jobs.alerts import news, record, rules, silences, slo
from llmops_jobs.alerts.causes import Overlap, alike, causes
from llmops_jobs.alerts.defaults import RULES
from llmops_jobs.alerts.evidence import Evidence, web_address
from llmops_jobs.alerts.findings import Night
from llmops_jobs.alerts.incidents import Policy, advance
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.store import Database

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake


@dataclass(frozen=True)
class Evaluation:
    """Counts of one evaluated day."""

    day: date
    looked: int
    firing: int
    changed: int
    queued: int

    def metadata(self) -> dict[str, int]:
        return {
            "rules_evaluated": self.looked,
            "firing": self.firing,
            "incidents_changed": self.changed,
            "messages_queued": self.queued,
        }


def nights(marts: Marts, settings: AlertSettings) -> Iterator[Night]:
    """What all rules say about each day of the run, in order."""
    by_day = {
        day: Night(day)
        for day in (
            marts.first + timedelta(days=i) for i in range((marts.last - marts.first).days + 1)
        )
    }
    wanted = list(settings.rules)
    if settings.built_in:
        wanted += [rule for rule in RULES if rule.name not in settings.disable]
    for rule in wanted:
        for day, finding in rules.evaluate(marts, rule):
            by_day[day].findings.append(finding)
    for objective in settings.slos:
        for day, finding in slo.evaluate(marts, objective):
            by_day[day].findings.append(finding)
    disabled = frozenset(settings.disable)
    for night in by_day.values():
        if settings.built_in:
            news.tell(marts, night, disabled)
        yield night


def evaluate_days(
    database: Database,
    settings: AlertSettings,
    project: str,
    first: date,
    last: date,
    *,
    now: datetime,
    lake: Lake | None = None,
    base_url: str = "",
) -> Iterator[Evaluation]:
    """Advances the project's incidents day by day and queues what people should be told.

    A day that is older than `page_within_days` is recorded but tells nobody: it is a backfill.
    `lake` serves the links to traces; `base_url` is Langfuse's address.
    """
    if not settings.enabled:
        return
    marts = Marts(database, project, first, last)
    evidence = Evidence(marts, lake, web_address(base_url))
    quiet = silences.active(database, now)
    for night in nights(marts, settings):
        overlap = Overlap.of_day(marts, night.day)
        with database.engine.connect() as connection:
            begun = record.begun(connection, project)
        found = causes(night.findings, overlap, night.day, begun)
        policy = Policy(
            reminder_days=settings.reminder_days,
            no_data_days=settings.no_data_days,
            escalate_days=settings.escalation.after_days if settings.escalation else None,
            told=(now.date() - night.day).days <= settings.page_within_days,
            same=functools.partial(alike, overlap=overlap),
            hidden=lambda finding: silences.hides(quiet, finding),
        )
        with record.exclusive(database, project, now, night.day) as connection:
            known = record.latest(connection, project)
            changed, events = advance(known, found, night, policy)
            extra: dict[str, dict[str, Any]] = {}
            roots = {cause.root.fingerprint: cause for cause in found}
            for item in changed:
                cause = roots.get(item.finding.fingerprint)
                if item.first_day == night.day and cause is not None:
                    extra[item.dedup_key] = evidence.of(item.finding, night.day) | {
                        "also": [f.summary for f in cause.children][:10]
                    }
            for event in events:
                kept = record.evidence_in(event.incident.finding.detail)
                extra.setdefault(event.incident.dedup_key, kept)
            queued = record.write(
                database, connection, project, changed, events, settings, now=now, extra=extra
            )
        yield Evaluation(
            night.day,
            len(night.findings),
            sum(finding.firing for finding in night.findings),
            len(changed),
            queued,
        )


def evaluate_day(
    database: Database,
    settings: AlertSettings,
    project: str,
    day: date,
    *,
    now: datetime,
    base_url: str = "",
) -> Evaluation:
    """`evaluate_days` for one day."""
    return next(evaluate_days(database, settings, project, day, day, now=now, base_url=base_url))
