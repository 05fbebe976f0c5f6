"""The digest: the report's first ten seconds as a Slack message or an e-mail.

Slack accepts 50 blocks and 3,000 characters a section; long messages were reported to be refused
well below the sum of those, so a digest has at most 12 blocks and 8,000 characters and links to
the page for the rest.
"""

from __future__ import annotations

import json
from typing import Any, Final

from llmops_jobs.report.faces.html import environment
from llmops_jobs.report.faces.inline import GLYPHS
from llmops_jobs.report.faces.markdown import plain
from llmops_jobs.report.model import Finding, Prose, ReportModel, Tile

MAX_BLOCKS: Final = 12
MAX_CHARACTERS: Final = 8_000
_SECTION_LIMIT: Final = 2_900
_EMOJI = {"act": ":red_circle:", "watch": ":large_yellow_circle:", "ok": ":large_green_circle:"}


def subject(report: ReportModel) -> str:
    """One line for an e-mail's subject or a notification's title."""
    period = report.period
    when = f"{period.last}" if period.kind == "day" else f"{period.kind} to {period.last}"
    word = {"act": "Action needed", "watch": "Worth a look"}.get(report.verdict.status, "Normal")
    return f"{word}: {report.project.name}, {when}"[:150]


def slack_blocks(report: ReportModel, url: str = "") -> list[dict[str, Any]]:
    """Slack Block Kit: verdict, findings, numbers, decisions, link. Within the limits above."""
    verdict = report.verdict
    head = subject(report)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": head, "emoji": False}},
        _section(mrkdwn([*verdict.headline, " ", *verdict.numbers])),
    ]
    blocks += [_section(_finding(finding)) for finding in verdict.findings]
    blocks.append({"type": "section", "fields": [_field(tile) for tile in report.tiles[:8]]})
    if verdict.decisions:
        lines = ["*To decide*"]
        for decision in verdict.decisions:
            command = f" `{_code(decision.command)}`" if decision.command else ""
            lines.append(f"• {mrkdwn(decision.prose)}{command}")
        blocks.append(_section("\n".join(lines)))
    if url.startswith(("https://", "http://")):
        blocks.append(_section(f"<{url}|Open the report>"))
    return _within(blocks)


def _within(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drops findings from the last on, until the message is small enough."""
    while len(blocks) > MAX_BLOCKS or len(json.dumps(blocks)) > MAX_CHARACTERS:
        findings = [n for n, block in enumerate(blocks) if n > 1 and _is_finding(block)]
        if not findings:
            break
        del blocks[findings[-1]]
    return blocks


def _is_finding(block: dict[str, Any]) -> bool:
    text = block.get("text", {}).get("text", "")
    return block["type"] == "section" and str(text).startswith(tuple(_EMOJI.values()))


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_SECTION_LIMIT]}}


def _finding(finding: Finding) -> str:
    links = [
        f"<{link.href}|{_escape(link.text)}>"
        for link in finding.evidence
        if link.href.startswith(("https://", "http://"))
    ]
    start = f"{_EMOJI.get(finding.status, ':white_circle:')} *{_escape(finding.topic)}* "
    return start + " ".join([mrkdwn(finding.prose), *links])


def _field(tile: Tile) -> dict[str, str]:
    text = f"*{_escape(tile.label)}*\n{tile.figure.text}"
    if tile.change is not None and tile.change.real:
        text += f" ({tile.change.change.text}, real change)"
    return {"type": "mrkdwn", "text": text[:1900]}


def mrkdwn(prose: Prose) -> str:
    """Prose in Slack's markup; names out of the data are code, where nothing is markup."""
    parts = []
    for part in prose:
        if isinstance(part, str):
            parts.append(_escape(part))
        elif part.kind == "figure":
            parts.append(f"*{part.text}*")
        elif part.kind == "name":
            parts.append(f"`{_code(part.text)}`")
        else:
            parts.append(_escape(part.text))
    return "".join(parts)


def _escape(text: str) -> str:
    """Slack's three control characters, and a mark between characters that could be markup."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("*", "∗").replace("`", "ʼ").replace("~", "∼")


def _code(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("`", "ʼ")


def email_text(report: ReportModel, url: str = "") -> str:
    """The plain part of an e-mail."""
    verdict = report.verdict
    lines = [plain(verdict.headline), plain(verdict.numbers), ""]
    for place, finding in enumerate(verdict.findings, 1):
        lines.append(f"{place}. [{finding.topic}] {plain(finding.prose)}")
        lines += [f"   {link.href}" for link in finding.evidence if "://" in link.href]
    if verdict.decisions:
        lines += ["", "To decide:"]
        for decision in verdict.decisions:
            command = f"  ({decision.command})" if decision.command else ""
            lines.append(f"- {plain(decision.prose)}{command}")
    lines += ["", *(f"{tile.label}: {tile.figure.text}" for tile in report.tiles)]
    if url:
        lines += ["", f"The report: {url}"]
    return "\n".join(lines) + "\n"


def email_html(report: ReportModel, url: str = "") -> str:
    """The HTML part: one column of tables with inline styles, as mail readers want it."""
    template = environment().get_template("email.html.j2")
    safe = url if url.startswith(("https://", "http://")) else ""
    return template.render(r=report, url=safe, subject=subject(report), glyphs=GLYPHS)
