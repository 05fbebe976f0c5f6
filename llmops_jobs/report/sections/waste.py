"""Spend that bought nothing."""

from __future__ import annotations

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import Column, Prose, Section, Table, Text, cell, figure, label


def by_reason(edition: Edition) -> dict[str, tuple[int, float]]:
    """(calls, USD) by reason, the dearest first."""
    sums: dict[str, tuple[int, float]] = {}
    for row in edition.marts.rows("waste", edition.first, edition.last):
        calls, usd = sums.get(row.waste_reason, (0, 0.0))
        sums[row.waste_reason] = (calls + row.requests, usd + (row.wasted_usd or 0.0))
    return dict(sorted(sums.items(), key=lambda item: (-item[1][1], item[0])))


def total(edition: Edition) -> float:
    """USD of the period."""
    return sum(usd for _, usd in by_reason(edition).values())


def section(edition: Edition) -> Section:
    spend = edition.usage.usd(edition.first, edition.last)
    reasons = by_reason(edition)
    if not reasons:
        return Section(
            id="waste",
            title="Wasted spend",
            blocks=[Text(prose=["No spend was found to be without use in this period."])],
            width="half",
        )
    table = Table(
        id="waste-by-reason",
        title="By reason",
        columns=[
            Column(key="reason", label="Reason"),
            Column(key="requests", label="Calls", numeric=True),
            Column(key="wasted_usd", label="Wasted", numeric=True),
            Column(key="share", label="Share of spend", numeric=True),
        ],
        rows=[
            [
                label(reason.replace("_", " ")),
                cell(calls, "count"),
                cell(usd, "usd"),
                cell(
                    usd / spend if spend else None,
                    "ratio",
                    share=min(usd / spend, 1) if spend else None,
                ),
            ]
            for reason, (calls, usd) in list(reasons.items())[: edition.settings.rows]
        ],
    )
    wasted = total(edition)
    lead: Prose = [figure(wasted, "usd"), " bought nothing"]
    if spend:
        lead += [" (", figure(wasted / spend, "ratio"), " of spend)"]
    return Section(
        id="waste",
        title="Wasted spend",
        lead=[*lead, "."],
        blocks=[table],
        traces=edition.calls(),
        width="half",
    )
