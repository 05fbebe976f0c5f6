"""Objectives on the page: what is left of an error budget, as the alerts count it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from llmops_jobs.alerts.settings import AlertSettings, Slo
from llmops_jobs.report.build import build
from llmops_jobs.report.model import ReportModel, Table
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.store import Database
from tests.report.marts import LAST, PROJECT


def _report(database: Database, *slos: Slo) -> ReportModel:
    alerts = AlertSettings(slos=slos)
    return build(database, ReportSettings(), PROJECT, "day", LAST, alerts=alerts)


def _rows(report: ReportModel) -> dict[str, dict[str, object]]:
    section = next(one for one in report.sections if one.id == "objectives")
    (table,) = section.blocks
    assert isinstance(table, Table)
    keys = [column.key for column in table.columns]
    return {
        f"{row[0].text} {row[1].text}": {
            key: cell.text if key == "status" else cell.value
            for key, cell in zip(keys, row, strict=True)
        }
        for row in table.rows
    }


def test_what_is_left_of_an_error_budget_is_that_of_28_days(filled: Database) -> None:
    first = LAST - timedelta(days=27)
    sums = filled.read(
        "SELECT SUM(errors) AS bad, SUM(requests) AS n FROM usage_daily "
        f"WHERE day BETWEEN '{first}' AND '{LAST}' AND NOT is_evaluation"
    ).iloc[0]
    share = float(sums["bad"]) / float(sums["n"])
    report = _report(filled, Slo(name="reliable", metric="error_rate", objective=0.98))
    row = _rows(report)["reliable everything"]
    assert row["good"] == pytest.approx(1 - share)
    assert row["left"] == pytest.approx(1 - share / 0.02)
    assert row["status"] == "Met"
    tile = next(one for one in report.tiles if one.id == "errors")
    assert (tile.status, tile.status_text) == ("ok", "Met")
    assert "of its error budget left" in str(tile.note)


def test_an_objective_that_is_missed_is_a_finding_and_is_named(filled: Database) -> None:
    report = _report(filled, Slo(name="strict", metric="error_rate", objective=0.9999))
    row = _rows(report)["strict everything"]
    assert (row["status"], row["left"]) == ("Missed", 0)
    assert report.verdict.status == "act"
    topics = [finding.topic for finding in report.verdict.findings]
    assert "Objective" in topics


def test_every_slice_of_an_objective_has_its_own_budget(filled: Database) -> None:
    slo = Slo(name="fast", metric="latency", objective=0.5, within=3.0, by=("feature",))
    rows = _rows(_report(filled, slo))
    assert set(rows) == {
        f"fast feature={name}"
        for name in ("rag-answer", "agent-tools", "chat", "summarise", "extract-json")
    }
    assert 0 < float(str(rows["fast feature=chat"]["good"])) <= 1


def test_without_objectives_there_is_no_section_of_them(filled: Database) -> None:
    report = _report(filled)
    assert "objectives" not in [section.id for section in report.sections]
