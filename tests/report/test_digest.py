from __future__ import annotations

import json
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser

import pytest

from llmops_jobs.report.build import build
from llmops_jobs.report.faces import digest
from llmops_jobs.report.faces.markdown import plain
from llmops_jobs.report.model import Finding, Name, ReportModel, figure
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.store import Database
from tests.report.marts import LAST, PROJECT

URL = "https://reports.example/acme/day/2026-03-22.html"


def _texts(blocks: list[dict]) -> list[str]:
    found = [block["text"]["text"] for block in blocks if "text" in block]
    return found + [field["text"] for block in blocks for field in block.get("fields", [])]


@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_the_slack_message_keeps_within_slacks_limits(
    reports: dict[str, ReportModel], kind: str
) -> None:
    blocks = digest.slack_blocks(reports[kind], URL)
    assert len(blocks) <= digest.MAX_BLOCKS
    assert len(json.dumps(blocks)) <= digest.MAX_CHARACTERS
    assert all(0 < len(text) <= 3000 for text in _texts(blocks))
    assert all(len(block["fields"]) <= 10 for block in blocks if "fields" in block)
    assert len(blocks[0]["text"]["text"]) <= 150
    assert f"<{URL}|Open the report>" in _texts(blocks)


def test_too_many_findings_lose_the_last_ones_not_the_link(reports: dict[str, ReportModel]) -> None:
    day = reports["day"]
    long = Finding(status="watch", topic="Cost", prose=[Name(text="word " * 200)], weight=1)
    verdict = day.verdict.model_copy(update={"findings": [*day.verdict.findings, *[long] * 40]})
    blocks = digest.slack_blocks(day.model_copy(update={"verdict": verdict}), URL)
    assert len(blocks) <= digest.MAX_BLOCKS
    assert "Open the report" in _texts(blocks)[-9] or any("Open the" in t for t in _texts(blocks))
    assert plain(day.verdict.findings[0].prose).split()[0] in " ".join(_texts(blocks))


def test_a_name_cannot_mention_or_link_in_slack() -> None:
    said = digest.mrkdwn(["spend of ", Name(text="<!channel> `x` <https://evil.example|ok>")])
    assert "<" not in said
    assert said.count("`") == 2


def test_every_face_of_the_digest_says_the_same(reports: dict[str, ReportModel]) -> None:
    report = reports["day"]
    text, html = digest.email_text(report, URL), digest.email_html(report, URL)
    blocks = " ".join(_texts(digest.slack_blocks(report, URL)))
    for part in report.verdict.numbers:
        if not isinstance(part, str):
            assert part.text in text
            assert part.text in html
            assert part.text in blocks
    for finding in report.verdict.findings:
        assert plain(finding.prose) in text


def test_the_mail_is_whole_html_that_asks_for_nothing(reports: dict[str, ReportModel]) -> None:
    report = reports["week"]
    asked: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag in ("img", "script", "link", "iframe", "video"):
                asked.append(tag)

    Reader().feed(digest.email_html(report, URL))
    assert asked == []
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = digest.subject(report)
    message.set_content(digest.email_text(report, URL))
    message.add_alternative(digest.email_html(report, URL), subtype="html")
    assert len(message.as_bytes()) < 60_000


def test_a_quiet_day_is_called_normal(database: Database) -> None:
    from tests.report.marts import fill

    fill(database, days=40, only=("usage_daily", "project", "reconciliation"), tenants=("acme",))
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM usage_daily WHERE price_status = 'unpriced'")
        connection.exec_driver_sql("UPDATE usage_daily SET cost_usd = 0.01 * requests, errors = 0")
    report = build(database, ReportSettings(), PROJECT, "day", LAST)
    assert report.verdict.findings == []
    assert digest.subject(report).startswith("Normal")
    assert plain(report.verdict.headline) == "A normal day: nothing to act on."
    assert figure(report.summary.spend_usd, "usd").text in digest.email_text(report)
