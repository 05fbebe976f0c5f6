"""The verdict as a terminal table, Markdown for a pull request, JUnit XML and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from xml.etree import ElementTree

from llmops_jobs.versions.gate.compare import Gate
from llmops_jobs.versions.gate.decide import Decision

MARK = {"pass": "✓ pass", "fail": "✗ fail", "inconclusive": "? inconclusive"}
_SHOWN = 5


def terminal(gate: Gate) -> str:
    """A table, then what to know."""
    head = ("metric", "verdict", "n", "baseline", "candidate", "difference (interval)", "margin")
    body = [
        (
            d.metric,
            MARK[d.verdict],
            str(d.items),
            _show(d.baseline),
            _show(d.candidate),
            f"{d.difference:+.4g} ({d.low:+.4g} to {d.high:+.4g})",
            _show(d.margin),
        )
        for d in gate.decisions
    ]
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *body]
    ]
    return "\n".join(
        [f"{MARK[gate.verdict]}: {gate.candidate} against {gate.baseline}", "", *lines, ""]
        + [f"{name}: {text}" for name, text in _remarks(gate)]
    ).rstrip()


def markdown(gate: Gate) -> str:
    rows = [
        f"| {_cell(d.metric)} | {MARK[d.verdict]} | {d.items} | {_show(d.baseline)} | "
        f"{_show(d.candidate)} | {d.difference:+.4g} ({d.low:+.4g} to {d.high:+.4g}) | "
        f"{_show(d.margin)} |"
        for d in gate.decisions
    ]
    remarks = [f"- **{_cell(name)}**: {_cell(text)}" for name, text in _remarks(gate)]
    return (
        "\n".join(
            [
                f"### {MARK[gate.verdict]}: `{_code(gate.candidate)}` "
                f"against `{_code(gate.baseline)}`",
                "",
                "| metric | verdict | n | baseline | candidate | difference (interval) | margin |",
                "|---|---|--:|--:|--:|--:|--:|",
                *rows,
                "",
                *remarks,
            ]
        ).rstrip()
        + "\n"
    )


def as_json(gate: Gate) -> str:
    """`schema_version` 1; the fields are those of Gate and Decision."""
    return json.dumps({"schema_version": 1, **asdict(gate)}, indent=1, allow_nan=False) + "\n"


def junit(gate: Gate) -> str:
    """A test case a metric; inconclusive is skipped, with the reason."""
    counts = {v: sum(d.verdict == v for d in gate.decisions) for v in MARK}
    suite = ElementTree.Element(
        "testsuite",
        name="llmops gate",
        tests=str(len(gate.decisions)),
        failures=str(counts["fail"]),
        skipped=str(counts["inconclusive"]),
        errors="0",
    )
    for decision in gate.decisions:
        case = ElementTree.SubElement(
            suite, "testcase", classname="llmops.gate", name=_printable(decision.metric)
        )
        said = f"{decision.reason}: {_figures(decision)}"
        if decision.verdict == "fail":
            ElementTree.SubElement(case, "failure", message=_printable(said))
        elif decision.verdict == "inconclusive":
            ElementTree.SubElement(case, "skipped", message=_printable(said))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _remarks(gate: Gate) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    for d in gate.decisions:
        if d.verdict != "pass":
            more = f"; about {d.needed:,} items would decide" if d.needed else ""
            said.append((d.metric, f"{d.reason}{more}"))
        if d.verdict == "fail" and d.regressed:
            said.append((d.metric, f"{len(d.regressed)} items got worse: {_list(d.regressed)}"))
        if d.flaky:
            said.append((d.metric, f"{len(d.flaky)} flaky items: {_list(d.flaky)}"))
        if d.all_repeats_passed is not None and d.flaky:
            said.append((d.metric, f"{d.all_repeats_passed:.1%} of items pass every repeat"))
    return said + [("note", text) for text in gate.notes]


def _list(items: tuple[str, ...]) -> str:
    shown = ", ".join(_printable(item)[:80] for item in items[:_SHOWN])
    return shown + (f", and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")


def _figures(d: Decision) -> str:
    return f"{_show(d.baseline)} to {_show(d.candidate)} ({d.low:+.4g} to {d.high:+.4g})"


def _show(value: float) -> str:
    return f"{value:.4g}"


def _printable(text: str) -> str:
    """Without the control characters that terminals obey and XML forbids."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _cell(text: str) -> str:
    """Text of others as plain text inside a Markdown table."""
    safe = _printable(text)
    for char in "\\`*_{}[]<>()#|~":
        safe = safe.replace(char, "\\" + char)
    return safe.replace("@", "@\u200b")


def _code(text: str) -> str:
    return _printable(text).replace("`", "'")
