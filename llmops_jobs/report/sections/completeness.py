"""Whether all of it is there: the copy beside its source, days without data, doubtful rows."""

from __future__ import annotations

from typing import Any

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Decision,
    Finding,
    Link,
    Prose,
    Section,
    Status,
    Table,
    Text,
    cell,
    figure,
    name,
)
from llmops_jobs.report.words import clean

_RECONCILED: dict[str, tuple[Status, str]] = {
    "ok": ("ok", "Complete"),
    "differs": ("act", "Differs"),
    "truncated": ("watch", "Truncated"),
    "out_of_reach": ("none", "Out of reach"),
    "not_checked": ("none", "Not checked"),
}
_SHOWN = 7


def section(edition: Edition) -> Section:
    """The copy beside its source, day by day."""
    rows = edition.marts.rows("reconciliation", edition.first, edition.last)
    blocks: list[Block] = []
    if not rows:
        blocks.append(Text(prose=["The copy was not compared with its source for these days."]))
    else:
        blocks.append(_completeness(edition, rows))
    lead: Prose = [
        figure(edition.usage.covered(edition.first, edition.last), "count"),
        " of ",
        figure(edition.window, "count"),
        " days hold model calls",
    ]
    quarantined = edition.marts.rows("quarantine", edition.first, edition.last)
    if quarantined:
        reasons = sorted({str(row.reason) for row in quarantined})
        lead += [
            "; ",
            figure(len(quarantined), "count"),
            " source rows were refused (",
            name(", ".join(reasons[:3]), 120),
            ")",
        ]
    judged = _judge_coverage(edition)
    if judged is not None:
        lead += ["; ", figure(judged, "ratio"), " of the calls were scored"]
    return Section(
        id="data",
        title="Data completeness",
        lead=[*lead, "."],
        blocks=blocks,
        traces=edition.calls(),
        width="half",
    )


def _judge_coverage(edition: Edition) -> float | None:
    """Share of the calls that the most scored metric saw."""
    by_metric: dict[str, int] = {}
    for row in edition.marts.rows("scored", edition.first, edition.last):
        by_metric[row.metric] = by_metric.get(row.metric, 0) + row.n
    requests = edition.usage.total("requests", edition.first, edition.last)
    return min(max(by_metric.values()) / requests, 1.0) if by_metric and requests else None


def _completeness(edition: Edition, rows: list[Any]) -> Table:
    table = []
    for row in sorted(rows, key=lambda row: row.day, reverse=True)[:_SHOWN]:
        status, word = _RECONCILED.get(str(row.status), ("none", clean(row.status, 20)))
        table.append(
            [
                cell(row.day.isoformat(), "day", href=edition.links.calls(row.day, row.day)),
                Cell(text=word, status=status, note=_unexplained(row.unexplained)),
                cell(row.rows_source, "count"),
                cell(row.rows_here, "count"),
                cell(row.duplicates, "count"),
                cell(row.late_rows, "count"),
                cell(row.quarantined, "count"),
            ]
        )
    note: Prose = []
    if len(rows) > len(table):
        note = [
            "The newest ",
            figure(len(table), "count"),
            " of ",
            figure(len(rows), "count"),
            " days.",
        ]
    return Table(
        id="completeness",
        title="Our copy beside the source",
        columns=[
            Column(key="day", label="Day"),
            Column(key="status", label="Status"),
            Column(key="rows_source", label="Expected", numeric=True),
            Column(key="rows_here", label="Got", numeric=True),
            Column(key="duplicates", label="Twice", numeric=True, help="sent more than once"),
            Column(key="late_rows", label="Late", numeric=True),
            Column(key="quarantined", label="Refused", numeric=True),
        ],
        rows=table,
        note=note,
    )


def _unexplained(rows: int) -> Prose | None:
    return [figure(rows, "count"), " unexplained"] if rows else None


def findings(edition: Edition) -> list[Finding]:
    found = []
    absent = edition.window - edition.usage.covered(edition.first, edition.last)
    if absent and edition.window > 1:
        prose: Prose = [
            figure(absent, "count"),
            " of ",
            figure(edition.window, "count"),
            " days have no model call: the copy may be incomplete.",
        ]
        found.append(_finding("act", prose, float(absent)))
    differing = [
        row
        for row in edition.marts.rows("reconciliation", edition.first, edition.last)
        if row.status == "differs" or row.unexplained
    ]
    if differing:
        lost = sum(abs(row.unexplained or 0) for row in differing)
        prose = [
            "The copy differs from its source on ",
            figure(len(differing), "count"),
            " of the days: ",
            figure(lost, "count"),
            " rows unexplained.",
        ]
        found.append(_finding("act", prose, float(lost)))
    return found


def _finding(status: Status, prose: Prose, weight: float) -> Finding:
    evidence = [Link(text="evidence", href="#data")]
    return Finding(status=status, topic="Data", prose=prose, evidence=evidence, weight=weight)


def decisions(edition: Edition) -> list[Decision]:
    stale = [
        row.day for row in edition.marts.rows("pull", edition.first, edition.last) if row.stale
    ]
    if not stale:
        return []
    first, last = min(stale), max(stale)
    prose: Prose = [
        "Copy again the days from ",
        figure(first, "date"),
        " to ",
        figure(last, "date"),
        ": rows came late.",
    ]
    return [Decision(prose=prose, command=f"llmops run --from {first} --to {last}")]


def copied_at(edition: Edition) -> str | None:
    """When the last day was first copied. Not when last: a copy that finds nothing new would
    change the page."""
    pulls = edition.marts.on("pull", edition.last)
    times = [row.first_pulled_at for row in pulls if row.first_pulled_at is not None]
    return max(times).isoformat(timespec="seconds") if times else None
