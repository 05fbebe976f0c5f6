"""What is generated into the docs is what the code says now."""

from __future__ import annotations

import json

import jsonschema
import pytest

from llmops_jobs.report import grafana, schema
from llmops_jobs.report.model import ReportModel
from llmops_jobs.report.site import to_json
from llmops_jobs.store import dictionary
from llmops_jobs.store.tables import TABLES
from tests.conftest import ROOT

DOCS = ROOT / "docs"


def test_the_published_schema_is_that_of_the_model() -> None:
    """Renew: python -m llmops_jobs.report.schema > docs/report.schema.json"""
    assert (DOCS / "report.schema.json").read_text(encoding="utf-8") == schema.text()


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_every_report_keeps_to_the_published_schema(
    reports: dict[str, ReportModel], kind: str
) -> None:
    published = json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(published)
    document = json.loads(to_json(reports[kind]))
    assert [error.message for error in validator.iter_errors(document)] == []
    document["surprise"] = 1
    assert not validator.is_valid(document)


def test_the_table_dictionary_is_that_of_the_tables() -> None:
    """Renew: python -m llmops_jobs.store.dictionary > docs/tables.md"""
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == dictionary.markdown()


def test_every_table_and_column_has_a_meaning() -> None:
    silent = [
        f"{table.name}.{column.name}"
        for table in TABLES.values()
        for column in table.columns
        if not column.comment
    ]
    assert silent == []
    assert [table.name for table in TABLES.values() if not table.comment] == []


@pytest.mark.parametrize("source", sorted(grafana.SOURCES))
def test_the_dashboards_are_those_of_the_code(source: str) -> None:
    """Renew: python -m llmops_jobs.report.grafana SOURCE > docs/grafana/SOURCE.json"""
    kept = (DOCS / "grafana" / f"{source}.json").read_text(encoding="utf-8")
    assert kept == grafana.text(source)
