"""From the marts to the site: every report that a run's days touch, then index and latest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa

from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.days import days
from llmops_jobs.report.build import ALL_PROJECTS, build, marts_for
from llmops_jobs.report.edition import end_of_month, period_end
from llmops_jobs.report.faces.markdown import plain
from llmops_jobs.report.model import ReportModel
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.site import (
    FORMATS,
    Site,
    stem_of,
    to_json,
    write,
    write_index,
    write_latest,
)
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake

PERIODS = ("day", "week", "month")


@dataclass(frozen=True)
class Published:
    report: ReportModel
    path: str
    sha256: str  # of report.json
    changed: bool


def publish(
    database: Database,
    settings: ReportSettings,
    site: Site,
    projects: Sequence[str],
    first: date,
    last: date,
    *,
    periods: Sequence[str] = PERIODS,
    formats: Sequence[str] = FORMATS,
    alerts: AlertSettings | None = None,
    lake: Lake | None = None,
) -> Iterator[Published]:
    """Writes the reports of the days [first, last] and of the weeks and months they touch.

    With several projects there is one edition more, over all of them. Weeks and months are as of
    their end or of the newest day that has usage. Index and latest are written last.
    """
    editions = [[project] for project in projects]
    if len(projects) > 1:
        editions.append(list(projects))
    for ids in editions:
        newest = max(last, newest_day(database, ids) or last)
        end = min(newest, max(end_of_month(last), period_end("week", last)))
        kind = "month" if "month" in periods else "week"
        marts = marts_for(database, ids, first, end, kind, settings)
        project = ids[0] if len(ids) == 1 else ALL_PROJECTS
        rows = []
        for period, day in touched(first, last, periods):
            as_of = min(day, end)
            report = build(
                database,
                settings,
                project,
                period,
                day,
                marts=marts,
                as_of=as_of,
                alerts=alerts,
                lake=lake,
            )
            json = to_json(report)
            changed = write(site, report, json, formats)
            sha256 = hashlib.sha256(json.encode()).hexdigest()
            done = Published(report, f"{stem_of(report)}.html", sha256, changed)
            rows.append(_row(done))
            yield done
        _record(database, pd.DataFrame(rows))
    finish(database, settings, site)


def touched(first: date, last: date, periods: Sequence[str]) -> list[tuple[str, date]]:
    """(period, its last calendar day) of every report that the days belong to."""
    keys = {(period, period_end(period, day)) for period in periods for day in days(first, last)}
    return sorted(keys, key=lambda key: (PERIODS.index(key[0]), key[1]))


def newest_day(database: Database, projects: Sequence[str]) -> date | None:
    usage = TABLES["usage_daily"]
    query = sa.select(sa.func.max(usage.c.day)).where(usage.c.project_id.in_(projects))
    found = database.read(query).iloc[0, 0]
    return found if isinstance(found, date) else None


def _row(done: Published) -> dict[str, object]:
    report, numbers = done.report, done.report.summary
    return {
        "project_id": report.project.id,
        "period": report.period.kind,
        "day": period_end(report.period.kind, report.period.last),
        "as_of": report.period.last,
        "path": done.path,
        "sha256": done.sha256,
        "verdict": report.verdict.status,
        "headline": plain(report.verdict.headline),
        "price_book_hash": ",".join(report.provenance.price_book_hashes),
        "code_version": report.provenance.code_version,
        "spend_usd": numbers.spend_usd,
        "requests": numbers.requests or 0,
        "error_rate": numbers.error_rate,
        "latency_p95_s": numbers.latency_p95_s,
        "quality": numbers.quality,
    }


def _record(database: Database, rows: pd.DataFrame) -> None:
    """Keeps `written_at` of a report whose content is the same as before."""
    if rows.empty:
        return
    known = database.table("report", project=str(rows["project_id"].iloc[0]))
    before = {(row.period, row.day): (row.sha256, row.written_at) for row in known.itertuples()}
    now = datetime.now(UTC)
    rows["written_at"] = [
        before[key][1]
        if (key := (row.period, row.day)) in before and before[key][0] == row.sha256
        else now
        for row in rows.itertuples()
    ]
    database.upsert("report", rows)


def finish(database: Database, settings: ReportSettings, site: Site) -> None:
    """Retention, `latest.*` and the index."""
    rows = database.table("report")
    days = rows[rows["period"] == "day"]
    if settings.keep_days and len(days):
        oldest = max(days["day"]) - timedelta(days=settings.keep_days)
        expired = days[days["day"] < oldest]
        for row in expired.itertuples():
            for ending in FORMATS:
                site.remove(f"{str(row.path).removesuffix('.html')}.{ending}")
        table = TABLES["report"]
        with database.engine.begin() as connection:
            connection.execute(
                sa.delete(table).where(table.c.period == "day", table.c.day < oldest)
            )
        rows = database.table("report")
    names = {row.project_id: row.name for row in database.table("project").itertuples()}
    write_latest(site, rows)
    write_index(site, rows, names, settings.title)
