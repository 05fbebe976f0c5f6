"""What is read in the first ten seconds: the verdict, its findings, and what to decide."""

from __future__ import annotations

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import Decision, Finding, Prose, Status, Verdict, figure, name
from llmops_jobs.report.sections import (
    budgets,
    change,
    completeness,
    drift,
    errors,
    incidents,
    objectives,
    outlook,
    prices,
    quality,
    speed,
    versions,
)

_FINDINGS = (
    incidents.findings,
    budgets.findings,
    change.findings,
    versions.findings,
    objectives.findings,
    errors.findings,
    completeness.findings,
    prices.findings,
    speed.findings,
    quality.findings,
    drift.findings,
)
_DECISIONS = (
    versions.decisions,
    incidents.decisions,
    budgets.decisions,
    prices.decisions,
    completeness.decisions,
    quality.decisions,
)
_RANK: dict[Status, int] = {"act": 0, "watch": 1, "ok": 2, "none": 3}
_SHOWN = 6
_NOTHING = Decision(
    prose=["Find out whether nothing ran or nothing was copied."], command="llmops doctor"
)


def verdict(edition: Edition) -> Verdict:
    if not edition.usage.covered(edition.first, edition.last):
        return Verdict(
            status="watch",
            headline=["No model call was recorded in this period."],
            findings=[],
            decisions=[_NOTHING, *completeness.decisions(edition)],
            traces=edition.calls(),
        )
    found = [finding for topic in _FINDINGS for finding in topic(edition)]
    found.sort(key=lambda finding: (_RANK[finding.status], -finding.weight))
    decisions: list[Decision] = [one for topic in _DECISIONS for one in topic(edition)]
    status: Status = found[0].status if found else "ok"
    return Verdict(
        status=status,
        headline=_headline(edition, status, found),
        numbers=[*_numbers(edition), *_heading(edition)],
        findings=found[:_SHOWN],
        decisions=decisions[:_SHOWN],
        traces=edition.calls(),
    )


def _headline(edition: Edition, status: Status, found: list[Finding]) -> Prose:
    if status in ("ok", "none"):
        return [f"A normal {edition.period.kind}: nothing to act on."]
    prose: Prose = ["Action needed: " if status == "act" else "Worth a look: "]
    parts: list[Prose] = []
    for asked, words in (("act", " to act on"), ("watch", " to watch")):
        topics = [finding.topic.lower() for finding in found if finding.status == asked]
        if topics:
            named = ", ".join(dict.fromkeys(topics))
            parts.append([figure(len(topics), "count"), f"{words} ({named})"])
    for place, part in enumerate(parts):
        prose += [*([", "] if place else []), *part]
    return [*prose, "."]


def _numbers(edition: Edition) -> Prose:
    """What it cost, and whether it was fast, reliable and good."""
    first, last = edition.first, edition.last
    requests = edition.usage.total("requests", first, last)
    errors_ = edition.usage.total("errors", first, last)
    prose: Prose = [
        figure(edition.usage.usd(first, last), "usd"),
        " for ",
        figure(requests, "count"),
        " model calls",
    ]
    _, (p95,) = speed.latency(edition, first, last, (0.95,))
    if p95 is not None:
        prose += [", p95 latency ", figure(p95, "seconds")]
    if requests:
        prose += [", ", figure(errors_ / requests, "ratio"), " failed"]
    metric = quality.headline(edition)
    if metric is not None:
        rate = quality.now(edition, metric)
        prose += [", ", figure(rate.estimate, "ratio"), " good (", name(metric, 40), ")"]
    return [*prose, "."]


def _heading(edition: Edition) -> Prose:
    """Where the month is heading."""
    month = outlook.month_end(edition)
    if month is None:
        return []
    prose: Prose = [
        f" {edition.last:%B} is heading for ",
        figure(month.p50, "usd"),
        " (",
        figure(month.p10, "usd"),
        " to ",
        figure(month.p90, "usd"),
        ")",
    ]
    budget = budgets.of_month(edition)
    if budget is not None:
        prose += [
            "; budget ",
            figure(budget.amount_usd, "usd"),
            ", P(over) ",
            figure(budget.probability_over, "share"),
        ]
    return [*prose, "."]
