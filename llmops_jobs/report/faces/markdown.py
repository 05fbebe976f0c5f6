"""Markdown for GitHub, chat and Dagster's metadata: the whole report, or its first ten seconds.

Names out of the data are code spans, where Markdown, mentions and HTML mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llmops_jobs.report.edition import compared_with
from llmops_jobs.report.model import (
    Block,
    Cell,
    Change,
    Number,
    Prose,
    ReportModel,
    Table,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@$^=:-])")
_WORDS = {"act": "**ACT**", "watch": "**WATCH**", "ok": "OK", "none": "note"}
_BARS = "▁▂▃▄▅▆▇█"


def render(report: ReportModel) -> str:
    lines = [f"# {escape(report.project.name)} — {escape(report.title)}", "", *_period(report), ""]
    lines += _verdict(report)
    lines += ["## At a glance", "", "| | | Change | |", "|---|--:|---|---|"]
    for tile in report.tiles:
        change = _change(tile.change) if tile.change else ""
        status = f" {escape(tile.status_text)}" if tile.status_text else ""
        shown = f"**{tile.figure.text}**{status}"
        lines.append(f"| {escape(tile.label)} | {shown} | {change} | {say(tile.note)} |")
    for section in report.sections:
        lines += ["", f"## {escape(section.title)}", ""]
        if section.lead:
            lines += [say(section.lead), ""]
        for block in section.blocks:
            lines += _block(block)
    made = report.provenance
    lines += [
        "",
        "---",
        f"{made.days_with_data} of {len(made.partitions)} days with data · price book "
        f"{code(', '.join(made.price_book_hashes) or 'none')} · llmops-jobs {made.code_version}",
    ]
    return "\n".join(lines) + "\n"


def digest(report: ReportModel) -> str:
    """The verdict alone, for a place with room for a paragraph."""
    return "\n".join(_verdict(report))


def _period(report: ReportModel) -> list[str]:
    period = report.period
    days = f"{period.last}" if period.first == period.last else f"{period.first} to {period.last}"
    unfinished = "" if period.complete else f", {period.kind} not over yet"
    return [f"**{days}** (UTC){unfinished} · compared with {compared_with(period.kind)}"]


def _verdict(report: ReportModel) -> list[str]:
    verdict = report.verdict
    lines = [f"{_WORDS[verdict.status]} · {say([*verdict.headline, ' ', *verdict.numbers])}", ""]
    for place, finding in enumerate(report.verdict.findings, 1):
        lines.append(
            f"{place}. {_WORDS[finding.status]} {escape(finding.topic)}: {say(finding.prose)}"
        )
    if report.verdict.findings:
        lines.append("")
    if report.verdict.decisions:
        lines += ["**To decide**", ""]
        for decision in report.verdict.decisions:
            command = f" {code(decision.command)}" if decision.command else ""
            lines.append(f"- {say(decision.prose)}{command}")
        lines.append("")
    return lines


def _change(change: Change) -> str:
    word = {None: "too early to judge", True: "real change", False: "usual variation"}[change.real]
    return f"{change.change.text} ({word})"


def _block(block: Block) -> list[str]:
    if block.kind == "table":
        return _table(block)
    if block.kind == "waterfall":
        lines = [f"**{escape(block.title)}**", ""]
        return [*lines, *(f"- {escape(step.name)}: {step.text}" for step in block.steps), ""]
    if block.kind == "text":
        return [say(block.prose), ""]
    charts = [block] if block.kind == "line" else block.charts
    lines = [f"**{escape(block.title)}**", ""]
    for chart in charts:
        title = f"{code(chart.title)} " if block.kind == "multiples" else ""
        for series in chart.series:
            lines.append(f"- {title}{escape(series.name)}: {spark(series.values)}")
    return [*lines, ""]


def _table(table: Table) -> list[str]:
    heads = " | ".join(escape(column.label) for column in table.columns)
    rules = "|".join("--:" if column.numeric else "---" for column in table.columns)
    lines = [f"**{escape(table.title)}**", "", f"| {heads} |", f"|{rules}|"]
    rows = [*table.rows, *([table.total] if table.total else [])]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    if table.note:
        lines += ["", say(table.note)]
    return [*lines, ""]


def _cell(cell: Cell) -> str:
    if cell.spark:
        return spark(cell.spark)
    written = cell.text if cell.unit else code(cell.text) if cell.text else ""
    if cell.href and cell.href.startswith(("http://", "https://")):
        written = f"[{written}]({_address(cell.href)})"
    note = f" ({say(cell.note)})" if cell.note else ""
    return written + note


def say(prose: Prose) -> str:
    parts = []
    for part in prose:
        if isinstance(part, str):
            parts.append(escape(part))
        elif part.kind == "name":
            parts.append(code(part.text))
        elif part.kind == "link":
            safe = part.href.startswith(("http://", "https://"))
            parts.append(
                f"[{escape(part.text)}]({_address(part.href)})" if safe else escape(part.text)
            )
        else:
            parts.append(part.text)
    return "".join(parts)


def escape(text: str) -> str:
    """Text that no Markdown reader takes for markup; prose stays readable in its source."""
    return re.sub(r"(?<=[\w ,.])\\([-:()+=$&])", r"\1", _SPECIAL.sub(r"\\\1", text))


def code(text: str) -> str:
    """A code span that holds any text, in a table too."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}".replace("|", "\\|").replace("\n", " ")


def _address(href: str) -> str:
    return href.replace("(", "%28").replace(")", "%29").replace("|", "%7C").replace(" ", "%20")


def spark(values: Sequence[Number]) -> str:
    """A line of block characters; a gap is a dot."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return ""
    low, reach = min(known), max(known) - min(known)

    def one(value: Number) -> str:
        if value is None:
            return "·"
        return _BARS[int(7 * (float(value) - low) / reach)] if reach else _BARS[3]

    return "".join(one(value) for value in values)


def plain(prose: Prose) -> str:
    """Prose without any markup."""
    return "".join(part if isinstance(part, str) else part.text for part in prose)
