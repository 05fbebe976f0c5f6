"""Builds the report model of one project (or all) and one period from the marts."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from llmops_jobs import __version__
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.report.edition import LOOKBACK_DAYS, Edition, period_of
from llmops_jobs.report.marts import Marts
from llmops_jobs.report.model import Project, Provenance, ReportModel, Section, Summary, tidy
from llmops_jobs.report.sections import (
    budgets,
    change,
    completeness,
    cost,
    drift,
    errors,
    examples,
    feedback,
    incidents,
    lasting,
    method,
    objectives,
    outlook,
    prices,
    quality,
    scorecard,
    speed,
    tiles,
    verdict,
    versions,
    waste,
)
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.words import clean
from llmops_jobs.store import Database

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake

ALL_PROJECTS = "all"


def marts_for(
    database: Database,
    projects: list[str],
    first: date,
    last: date,
    kind: str,
    settings: ReportSettings,
) -> Marts:
    """The marts with enough days before `first` for the charts and comparisons of a report of that
    kind, and of the month that `first` is in."""
    reach = max(LOOKBACK_DAYS[kind], settings.history_days) + 31
    return Marts(database, projects, first - timedelta(days=reach), last)


def build(
    database: Database,
    settings: ReportSettings,
    project: str,
    period: str,
    day: date,
    *,
    marts: Marts | None = None,
    as_of: date | None = None,
    alerts: AlertSettings | None = None,
    lake: Lake | None = None,
) -> ReportModel:
    """The report of the calendar period (`day`, `week`, `month`) that holds `day`.

    `project` is a project's id, or `all`. Nothing later than the period's end (or `as_of`) is
    read, so the same marts give the same report whenever it is built. `marts` is shared between
    the reports of one run. `alerts` has the rules and objectives; `lake` is asked for text, where
    the settings allow it.
    """
    calendar = period_of(period, day, as_of)
    ids = known_projects(database) if project == ALL_PROJECTS else [project]
    marts = marts or marts_for(database, ids, calendar.first, calendar.last, period, settings)
    named = _project(marts, project)
    edition = Edition(marts, settings, named, calendar, alerts or AlertSettings(), lake)
    books = prices.books(edition)
    return ReportModel(
        title=settings.title,
        project=edition.project,
        period=calendar,
        summary=_summary(edition),
        verdict=verdict.verdict(edition),
        tiles=tiles.tiles(edition),
        sections=_sections(edition, books),
        provenance=_provenance(edition, books),
    )


def known_projects(database: Database) -> list[str]:
    """Every project that has usage or was ever reached."""
    known = set(database.read("SELECT DISTINCT project_id FROM usage_daily")["project_id"])
    return sorted(known | set(database.read("SELECT project_id FROM project")["project_id"]))


def _project(marts: Marts, project: str) -> Project:
    if project == ALL_PROJECTS:
        return Project(id=ALL_PROJECTS, name="all projects")
    rows = [row for row in marts.everything("project") if row.project_id == project]
    if not rows:
        return Project(id=project, name=clean(project))
    named = rows[0].name if rows[0].name not in ("", "default") else project
    return Project(id=project, name=clean(named), base_url=str(rows[0].base_url or ""))


def _sections(edition: Edition, price_books: list[str]) -> list[Section]:
    made = [
        outlook.section(edition),
        change.section(edition),
        objectives.section(edition),
        cost.section(edition),
        quality.section(edition),
        versions.section(edition),
        lasting.section(edition),
        feedback.section(edition),
        drift.section(edition),
        incidents.section(edition),
        examples.section(edition),
        speed.section(edition),
        errors.section(edition),
        waste.section(edition),
        completeness.section(edition),
        prices.section(edition),
        scorecard.section(edition),
        method.section(edition, __version__, price_books),
    ]
    return [section for section in made if section is not None]


def _summary(edition: Edition) -> Summary:
    first, last = edition.first, edition.last
    usage = edition.usage
    requests, errors = (usage.total(measure, first, last) for measure in ("requests", "errors"))
    _, (p50, p95, p99) = speed.latency(edition, first, last, (0.5, 0.95, 0.99))
    metric = quality.headline(edition)
    rate = quality.now(edition, metric) if metric else None
    voted = feedback.users(edition)
    month = outlook.month_end(edition)
    chances = [row.probability_over for row in budgets.held(edition)]
    over = max((chance for chance in chances if chance is not None), default=None)
    return Summary(
        spend_usd=tidy(usage.usd(first, last)),
        evaluation_usd=tidy(edition.marts.daily(None, True).usd(first, last)),
        requests=requests,
        errors=errors,
        error_rate=tidy(errors / requests) if requests else None,
        latency_p50_s=tidy(p50),
        latency_p95_s=tidy(p95),
        latency_p99_s=tidy(p99),
        quality=tidy(rate.estimate) if rate else None,
        quality_metric=clean(metric, 60) if metric else None,
        feedback_rate=tidy(voted[1].estimate) if voted else None,
        wasted_usd=tidy(waste.total(edition)),
        unpriced_requests=sum(one.requests for one in prices.unpriced(edition)),
        month_to_date_usd=tidy(usage.usd(last.replace(day=1), last)),
        month_end_p10_usd=_quantile(month, "p10"),
        month_end_p50_usd=_quantile(month, "p50"),
        month_end_p90_usd=_quantile(month, "p90"),
        probability_over_budget=tidy(over),
        open_incidents=len(incidents.open_now(edition)),
    )


def _quantile(month: Any | None, name: str) -> float | None:
    return None if month is None else tidy(getattr(month, name))


def _provenance(edition: Edition, price_books: list[str]) -> Provenance:
    url = edition.settings.dagster_url.rstrip("/")
    run_url = f"{url}/assets/report?partition={edition.last}" if url.startswith("http") else None
    return Provenance(
        code_version=__version__,
        price_book_hashes=price_books,
        partitions=[edition.first + timedelta(days=n) for n in range(edition.window)],
        days_with_data=edition.usage.covered(edition.first, edition.last),
        copied_at=completeness.copied_at(edition),
        run_url=run_url,
    )
