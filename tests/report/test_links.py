"""Every number leads to its traces in Langfuse and to its place in the export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from llmops_jobs.report.faces import html
from llmops_jobs.report.links import Links, any_of, at_least
from llmops_jobs.report.model import ReportModel
from llmops_jobs.report.site import to_json
from tests.report.marts import LAST

WEB = "https://langfuse.example/project/acme-prod/"


def _numbers(part: Any, near: str | None, path: str) -> Iterator[tuple[str, str | None]]:
    """(JSON pointer, the nearest link to Langfuse) of every number and figure."""
    if isinstance(part, list):
        if part and all(isinstance(one, dict) and "text" in one for one in part):
            # A row of a table: what its cells link to stands for the row.
            hrefs = [one["href"] for one in part if str(one.get("href", "")).startswith(WEB)]
            near = next(iter(hrefs), near)
        for place, value in enumerate(part):
            yield from _numbers(value, near, f"{path}/{place}")
    elif isinstance(part, dict):
        own = [part.get(key) for key in ("traces", "href")]
        own += [one["href"] for one in part.get("evidence", [])]
        near = next((one for one in own if str(one).startswith(WEB)), near)
        if isinstance(part.get("value"), int | float):
            yield path, near
        for key, value in part.items():
            yield from _numbers(value, near, f"{path}/{key}")


def _at(document: Any, pointer: str) -> Any:
    """RFC 6901."""
    for step in pointer.split("/")[1:]:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_every_number_leads_to_the_traces_behind_it(
    reports: dict[str, ReportModel], kind: str
) -> None:
    published = json.loads(to_json(reports[kind]))
    found = [
        (pointer, link)
        for part in ("verdict", "tiles", "sections")
        for pointer, link in _numbers(published[part], None, f"/{part}")
    ]
    assert len(found) > 300
    assert [pointer for pointer, link in found if link is None] == []


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.hrefs: list[str] = []
        self.rows: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("id"):
            self.ids.append(str(named["id"]))
            if tag == "tr":
                self.rows.append(str(named["id"]))
        if tag == "a" and named.get("href"):
            self.hrefs.append(str(named["href"]))


def _page(report: ReportModel) -> _Page:
    page = _Page()
    page.feed(html.render(report))
    return page


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_every_table_and_chart_leads_to_its_place_in_the_export(
    reports: dict[str, ReportModel], kind: str
) -> None:
    published, page = json.loads(to_json(reports[kind])), _page(reports[kind])
    pointers = [h.partition("#")[2] for h in page.hrefs if h.startswith(f"{LAST}.json#")]
    parts = {pointer: _at(published, pointer) for pointer in pointers}
    for place, section in enumerate(published["sections"]):
        assert parts[f"/sections/{place}"] == section
        for number, block in enumerate(section["blocks"]):
            if block["kind"] != "text":
                assert parts[f"/sections/{place}/blocks/{number}"]["id"] == block["id"]


def test_every_row_of_a_page_is_the_row_of_that_number_in_the_export(
    reports: dict[str, ReportModel],
) -> None:
    page = _page(reports["day"])
    tables = {
        block.id: block
        for section in reports["day"].sections
        for block in section.blocks
        if block.kind == "table"
    }
    wanted = [f"{name}.{place}" for name in tables for place in range(len(tables[name].rows))]
    assert sorted(page.rows) == sorted(wanted)
    assert len(wanted) > 60


def test_every_way_within_a_page_arrives(reports: dict[str, ReportModel]) -> None:
    for report in reports.values():
        page = _page(report)
        assert len(page.ids) == len(set(page.ids))
        inside = {href[1:] for href in page.hrefs if href.startswith("#")}
        assert inside <= set(page.ids)
        assert {"cost", "errors", "incidents"} <= inside


def test_a_filtered_view_says_days_and_conditions_as_langfuse_reads_them() -> None:
    address = Links("https://langfuse.example/", "acme-prod").calls(
        LAST, LAST, any_of("model", "a|b"), at_least("latency", 2.5)
    )
    assert address is not None
    assert address.startswith(f"{WEB}observations?dateRange=1774137600000-1774224000000&filter=")
    assert re.search(r"filter=model;stringOptions;;any%20of;a%255C%257Cb,", address)
    assert address.endswith("latency;number;;%3E%3D;2.5")


def test_a_project_without_an_address_has_no_links() -> None:
    nowhere = Links("javascript:alert(1)", "acme-prod")
    assert nowhere.trace("t") is None
    assert nowhere.scores(LAST, LAST) is None
