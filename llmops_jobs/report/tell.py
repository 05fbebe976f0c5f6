"""The digest of a day's report into the outbox, for the channels that ask for one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from llmops_jobs.alerts.digest import queue_digest, wanted
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.report.faces import digest
from llmops_jobs.report.faces.markdown import plain
from llmops_jobs.report.model import ReportModel

if TYPE_CHECKING:
    from llmops_jobs.store import Database


def tell(
    database: Database, alerts: AlertSettings, report: ReportModel, address: str, *, now: datetime
) -> int:
    """Queues the digest once per day and edition. Returns messages queued."""
    verdict, day = report.verdict, report.period.last
    if not wanted(alerts, day, now):
        return 0
    url = address if address.startswith(("https://", "http://")) else ""
    lines = [plain([*verdict.headline, " ", *verdict.numbers]).strip()]
    lines += [f"{each.topic}: {plain(each.prose)}" for each in verdict.findings]
    lines += [f"To decide: {plain(each.prose)}" for each in verdict.decisions]
    return queue_digest(
        *(database, alerts, report.project.id, day, digest.subject(report), lines),
        faces={
            "slack": digest.slack_blocks(report, url),
            "text": digest.email_text(report, url),
            "html": digest.email_html(report, url),
        },
        address=url,
        now=now,
    )
