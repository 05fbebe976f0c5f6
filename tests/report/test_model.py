from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from llmops_jobs.report.build import build
from llmops_jobs.report.model import ReportModel
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.site import to_json
from llmops_jobs.report.words import write
from llmops_jobs.store import Database
from tests.report.marts import LAST, PROJECT, fill

# Names of measures that hold a digit, and what links are called.
_TERMS = re.compile(r"\bp\d\d\b|P\(over\)|1,000 good calls|/ 1k req")


def _figures(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if part.get("kind") == "figure":
            yield part
        for value in part.values():
            yield from _figures(value)
    elif isinstance(part, list):
        for value in part:
            yield from _figures(value)


def _prose(part: Any) -> Iterator[list[Any]]:
    """Every list that mixes strings and inline parts."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("prose", "headline", "lead", "note", "why") and isinstance(value, list):
                yield value
            yield from _prose(value)
    elif isinstance(part, list):
        for value in part:
            yield from _prose(value)


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_every_number_in_the_prose_is_a_figure_with_its_value(
    reports: dict[str, ReportModel], kind: str
) -> None:
    published = json.loads(to_json(reports[kind]))
    sentences = list(_prose(published))
    assert len(sentences) > 20
    for sentence in sentences:
        words = " ".join(part for part in sentence if isinstance(part, str))
        assert not re.search(r"\d", _TERMS.sub("", words)), words


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_the_text_of_every_figure_and_cell_follows_from_its_value(
    reports: dict[str, ReportModel], kind: str
) -> None:
    published = json.loads(to_json(reports[kind]))
    figures = list(_figures(published))
    assert len(figures) > 50
    for figure in figures:
        assert figure["text"] == write(figure.get("value"), figure["unit"])
    for section in reports[kind].sections:
        for block in section.blocks:
            for row in block.rows if block.kind == "table" else []:
                for cell in row:
                    if cell.unit is not None:
                        assert cell.text == write(cell.value, cell.unit)


def test_a_report_survives_the_way_through_json(reports: dict[str, ReportModel]) -> None:
    for report in reports.values():
        assert ReportModel.model_validate_json(to_json(report)) == report


def test_the_numbers_are_those_of_the_marts(
    filled: Database, reports: dict[str, ReportModel]
) -> None:
    week = filled.read(
        "SELECT SUM(cost_usd) AS usd, SUM(requests) AS requests, SUM(errors) AS errors "
        "FROM usage_daily WHERE day BETWEEN '2026-03-16' AND '2026-03-22' AND NOT is_evaluation"
    ).iloc[0]
    summary = reports["week"].summary
    assert summary.spend_usd == pytest.approx(week["usd"], abs=1e-6)
    assert summary.requests == week["requests"]
    assert summary.errors == week["errors"]


def test_breakdowns_add_up_to_the_total(reports: dict[str, ReportModel]) -> None:
    for report in reports.values():
        cost = next(section for section in report.sections if section.id == "cost")
        tables = [b for b in cost.blocks if b.kind == "table" and b.id.startswith("cost-by-")]
        assert len(tables) == 3
        for table in tables:
            column = [column.key for column in table.columns].index("cost_usd")
            total = table.total[column].value if table.total else None
            assert sum(row[column].value for row in table.rows) == pytest.approx(total)
            assert total == pytest.approx(report.summary.spend_usd)


def test_empty_marts_give_a_report_that_says_so_in_every_section(database: Database) -> None:
    report = build(database, ReportSettings(), PROJECT, "day", LAST)
    assert report.verdict.headline == ["No model call was recorded in this period."]
    for section in report.sections:
        assert section.blocks or section.lead, section.id


@pytest.mark.parametrize(
    "absent",
    ["spend_forecast", "quality_daily", "latency_scope", "error_daily", "reconciliation"],
)
def test_a_mart_that_is_empty_leaves_the_rest_of_the_report_whole(
    database: Database, absent: str
) -> None:
    fill(database, days=10)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {absent}")
    report = build(database, ReportSettings(), PROJECT, "day", LAST)
    assert report.summary.spend_usd
    assert all(section.blocks for section in report.sections)
