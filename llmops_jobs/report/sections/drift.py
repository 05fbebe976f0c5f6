"""What users ask about and what moved: topics, and the tests of questions and scores."""

from __future__ import annotations

from typing import Any

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Finding,
    Link,
    Prose,
    Section,
    Table,
    Text,
    cell,
    figure,
    label,
    name,
    numbers,
)
from llmops_jobs.report.words import clean

_SURE = 0.05
_SHOWN = 8


def section(edition: Edition) -> Section:
    blocks = [*_topics(edition), *_tests(edition)]
    if not blocks:
        blocks = [Text(prose=["No question was read in this period: topics need their text."])]
    tested = len(edition.marts.rows("drift", edition.first, edition.last))
    lead: Prose = []
    if tested:
        lead = [
            figure(tested, "count"),
            " tests against the week before; ",
            figure(len(moved(edition)), "count"),
            " say that something moved, after correction for their number.",
        ]
    return Section(
        id="drift",
        title="Topics and drift",
        lead=lead,
        blocks=blocks,
        traces=edition.traces(),
        width="half",
    )


def moved(edition: Edition) -> list[Any]:
    rows = edition.marts.rows("drift", edition.first, edition.last)
    found = [row for row in rows if row.p_value is not None and row.p_value <= _SURE]
    return sorted(found, key=lambda row: (row.p_value, row.kind, row.subject))


def _topics(edition: Edition) -> list[Block]:
    names = {(row.project_id, row.topic_id): row.name for row in edition.marts.everything("topic")}
    if len(edition.marts.projects) > 1:
        return []
    shares: dict[str, dict[Any, float]] = {}
    for row in edition.marts.rows("topic_share", *edition.history):
        shares.setdefault(row.topic_id, {})[row.day] = row.share or 0.0
    now, before = (
        {topic: _mean(days, *window) for topic, days in shares.items()}
        for window in (
            (edition.first, edition.last),
            (edition.period.before_first, edition.period.before_last),
        )
    )
    ranked = sorted((t for t in shares if now[t]), key=lambda t: (t == "other", -(now[t] or 0), t))
    if not ranked:
        return []
    rows = []
    for topic in ranked[:_SHOWN]:
        known = now[topic], before[topic]
        change = None if known[1] is None or known[0] is None else known[0] - known[1]
        shown = names.get((edition.project.id, topic), "") or topic
        spark = numbers(shares[topic].get(day) for day in edition.history_days)
        rows.append(
            [
                Cell(text="everything else") if topic == "other" else label(shown, 60),
                cell(known[0], "ratio", share=min(known[0] or 0.0, 1.0)),
                cell(change, "points"),
                Cell(text="", spark=spark),
            ]
        )
    columns = [
        Column(key="topic", label="Topic", help="its most telling words"),
        Column(key="share", label="Share", numeric=True, help="of the calls"),
        Column(key="change", label="Change", numeric=True, help="against the period before"),
        Column(key="spark", label="Daily"),
    ]
    return [Table(id="topics", title="What users ask about", columns=columns, rows=rows)]


def _mean(days: dict[Any, float], first: Any, last: Any) -> float | None:
    found = [share for day, share in days.items() if first <= day <= last]
    return sum(found) / len(found) if found else None


def _tests(edition: Edition) -> list[Block]:
    """Every test that says so; else the nearest to it, so that the silence can be judged."""
    rows = moved(edition)
    title = "What moved"
    if not rows:
        every = edition.marts.rows("drift", edition.first, edition.last)
        known = [row for row in every if row.p_value is not None]
        rows = sorted(known, key=lambda row: (row.p_value, row.kind, row.subject))[:3]
        title = "Nothing moved; the nearest to it"
    if not rows:
        return []
    shown = [
        [
            label(row.subject, 60, note=[name(str(row.kind).replace("_", " "), 24)]),
            cell(row.day.isoformat(), "day"),
            cell(row.before, "number"),
            cell(row.after, "number"),
            cell(row.p_value, "number", status="watch" if row.p_value <= _SURE else None),
        ]
        for row in rows[:_SHOWN]
    ]
    columns = [
        Column(key="subject", label="What"),
        Column(key="day", label="Day"),
        Column(key="before", label="Before", numeric=True, help="share or mean"),
        Column(key="after", label="After", numeric=True, help="share or mean"),
        Column(key="p_value", label="p", numeric=True, help="after Benjamini-Hochberg"),
    ]
    return [Table(id="drift-tests", title=title, columns=columns, rows=shown)]


def findings(edition: Edition) -> list[Finding]:
    found = []
    for row in moved(edition)[:3]:
        prose: Prose = [f"Drift ({clean(str(row.kind).replace('_', ' '), 30)}): "]
        prose += [name(row.subject, 60)]
        if row.before is not None and row.after is not None:
            prose += [" went from ", figure(row.before, "number"), " to "]
            prose += [figure(row.after, "number")]
        evidence = [Link(text="evidence", href="#drift")]
        found.append(
            Finding(
                status="watch", topic="Drift", prose=[*prose, "."], evidence=evidence, weight=0.4
            )
        )
    return found
